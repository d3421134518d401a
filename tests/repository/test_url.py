"""The Log Server URL: what is put right, what is refused, and that no password in it is quoted."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.repository.url import normalize_url

RIGHT = "https://logs1.example.com/8416_1745073/"


@given(
    before=st.text(" \t\n", max_size=3),
    scheme=st.sampled_from(["", "https://", "HTTPS://", "https:/", "https:///", "//"]),
    host=st.sampled_from(["logs1.example.com", "LOGS1.example.com", "logs1.example.com:443"]),
    slashes=st.text("/", min_size=1, max_size=3),
    end=st.sampled_from(["", "/", "//", "/logs.index", "/logs.index/", "//logs.index"]),
    after=st.text(" \t\n", max_size=3),
)
def test_every_way_people_write_it_comes_to_the_same(
    before: str, scheme: str, host: str, slashes: str, end: str, after: str
) -> None:
    assert normalize_url(f"{before}{scheme}{host}{slashes}8416_1745073{end}{after}") == RIGHT


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8080/8416_17", "http://127.0.0.1:8080/8416_17/"),
        ("http://127.9.8.7/8416_17", "http://127.9.8.7/8416_17/"),
        ("http://[::1]:8080/8416_17", "http://[::1]:8080/8416_17/"),
        ("http://localhost:80/8416_17", "http://localhost/8416_17/"),
        ("localhost:8443/8416_17", "https://localhost:8443/8416_17/"),
        ("https://gateway.example.com/imperva//8416_17", "https://gateway.example.com/imperva/8416_17/"),
    ],
)
def test_loopback_ports_and_deeper_folders_are_kept(text: str, url: str) -> None:
    assert normalize_url(text) == url
    assert normalize_url(url) == url


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("https://logs1.example.com/84 16", "blanks"),
        ("https://logs1.example.com\\@evil.example/8416_17", "backslashes"),
        ("http://logs1.example.com/8416_17", "not https"),
        ("http://127.0.0.1.example.com/8416_17", "not https"),
        ("http://localhost.example.com/8416_17", "not https"),
        ("http://0.0.0.0/8416_17", "not https"),
        ("ftp://logs1.example.com/8416_17", "not https"),
        ("https://30432:hunter2@logs1.example.com/8416_17", "user or password"),
        ("https://hunter2@logs1.example.com/8416_17", "user or password"),
        ("http://logs1.example.com:hunter2@127.0.0.1/8416_17", "user or password"),
        ("https://logs1.example.com/8416_17?key=hunter2", "query"),
        ("https://logs1.example.com/8416_17?", "query"),
        ("https://logs1.example.com/8416_17#hunter2", "fragment"),
        ("https://logs1.example.com", "no path"),
        ("https://logs1.example.com/logs.index", "no path"),
        ("https://logs1.example.com/a/../8416_17", "dots"),
        ("https:///", "no host"),
        ("https://:443/8416_17", "no host"),
        ("https://logs1.example.com:99999/8416_17", "port"),
        ("https://logs1.example.com:hunter2/8416_17", "port"),
        ("https://logs1.example.com:0/8416_17", "port"),
        ("https://[::1/8416_17", "host"),
        ("https://[v1.logs1]/8416_17", "host"),
        ("https://logs1..example.com/8416_17", "host"),
        ("https://*.example.com/8416_17", "host"),
    ],
)
def test_what_cannot_be_mended_is_refused_without_quoting_it(text: str, found: str) -> None:
    with pytest.raises(ConfigurationError, match=found) as caught:
        normalize_url(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@example("https://logs1.example.com/8416_17/logs.index/logs.index")
@example("https://logs1.example.com/8416_17@x")
@given(st.text(max_size=60) | st.from_regex(r"https?:/{0,3}[a-z0-9.:@\[\]/?#%_-]{0,40}", fullmatch=True))
def test_whatever_passes_is_stable_and_safe(text: str) -> None:
    try:
        url = normalize_url(text)
    except ConfigurationError:
        return
    assert normalize_url(url) == url
    assert url.startswith(("https://", "http://127.", "http://localhost", "http://[::1]"))
    assert url.endswith("/")
    assert not url.endswith("//")
    assert not set(url) & set("?# \\")
    assert "@" not in url.split("/")[2]
