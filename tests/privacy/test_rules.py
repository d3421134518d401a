"""What each rule replaces and what it leaves, and the options by which users change the rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.privacy.redact import Redactor
from airflow_provider_imperva.privacy.rules import Rules, redaction_rules
from tests.privacy.planted import MARK, plant
from tests.privacy.values import redacted

KEPT_READABLE = [
    ("page=2&token=abc&sort=price", "page=2&token=REDACTED&sort=price"),
    ("TOKEN=abc;lang=de", "TOKEN=REDACTED;lang=de"),
    ("password=ab;cd&x=1", "password=REDACTED&x=1"),
    ("token[]=a&token%5B%5D=b", "token[]=REDACTED&token%5B%5D=REDACTED"),
    ("user[password]=my secret&x=1", "user[password]=REDACTED&x=1"),
    ("next=%2Flogin%3Ftoken%3Dabc%26lang%3Dde&page=2", "next=%2Flogin%3Ftoken%3DREDACTED%26lang%3Dde&page=2"),
    ("a%3D%252Fx%253Fpin%253D12%2526b%253D1", "a%3D%252Fx%253Fpin%253DREDACTED%2526b%253D1"),
    ("%74oken=abc&name=%41nna", "token=REDACTED&name=Anna"),
    ("name=%41nna&x=1", "name=%41nna&x=1"),
    ("id=1' or 1=1 --&password=hunter2", "id=1' or 1=1 --&password=REDACTED"),
    ('{"password":"a\\"b","user":"anna","pin":1234}', '{"password":"REDACTED","user":"anna","pin":"REDACTED"}'),
    ('[{"Cookie":"a=b; c=d"},{"Accept":"*/*"}]', '[{"Cookie":"REDACTED"},{"Accept":"*/*"}]'),
    ("Authorization: Basic YTpi\r\nAccept: */*", "Authorization: REDACTED\r\nAccept: */*"),
    ("www.example.org/a;jsessionid=ABC?page=2", "www.example.org/a;jsessionid=REDACTED?page=2"),
    ("see https://anna:pw@example.org/x", "see https://anna:REDACTED@example.org/x"),
    ("<u>anna</u><pwd type='t'>abc</pwd>", "<u>anna</u><pwd type='t'>REDACTED</pwd>"),
    ('name="password"\r\n\r\nabc\r\n--b', 'name="password"\r\n\r\nREDACTED\r\n--b'),
    ("paid with 4111 1111 1111 1111, thanks", "paid with REDACTED, thanks"),
    ("paid with 4111 1111 1111 1112, thanks", "paid with 4111 1111 1111 1112, thanks"),
    ("x-auth-token=abc Set-Cookie: a=b; theme=dark; c=d", "x-auth-token=REDACTED"),
    ("Bearer abcdefghijklmnopqrst", "Bearer REDACTED"),
    ("Basic YWxhZGRpbjpvcGVu", "Basic REDACTED"),
    ("basic information", "basic information"),
    ("password=REDACTED", "password=REDACTED"),
]


@pytest.mark.parametrize(("text", "expected"), KEPT_READABLE)
def test_the_value_is_replaced_and_the_rest_stays(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_an_escaped_unicode_line_stays_what_it_is() -> None:
    assert redacted("город=Москва&token=тайна&x=größe") == "город=Москва&token=REDACTED&x=größe"


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once


@given(st.integers(0, 2**32), st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_secret_is_found_whatever_stands_before_it(seed: int, before: str) -> None:
    """As the value of a parameter of its own, which is what a client writes."""
    (planted,) = plant(1, seed=seed)
    assert not MARK.search(redacted(f"{before.replace('&', '')}&{planted.text}"))


@given(st.binary(max_size=300))
def test_bytes_of_quarantine_change_only_where_a_rule_says_so(line: bytes) -> None:
    """Bytes of any kind come out as they were, since none of these has a secret's name or shape."""
    import pyarrow as pa

    from airflow_provider_imperva.events.schema.schema import QUARANTINE_SCHEMA, SCHEMA

    table = pa.Table.from_pylist([{"raw": line + b"&token=abc&\xff\x00"}], schema=QUARANTINE_SCHEMA)
    result = Redactor(Rules().without(*(name for name in Rules().names if name != "token")))
    (after,) = result.redact(SCHEMA.empty_table(), table).quarantined["raw"].to_pylist()
    assert after.endswith(b"token=REDACTED&\xff\x00")


class TestOptions:
    def test_true_none_and_nothing_mean_the_default(self) -> None:
        assert redaction_rules(True) == redaction_rules(None) == redaction_rules({}) == Rules()

    def test_false_means_none(self) -> None:
        assert redaction_rules(False) is None

    def test_more_names_patterns_and_fewer_rules(self, tmp_path: Path) -> None:
        path = tmp_path / "rules.yaml"
        path.write_text("keys: [badge, x.y]\npatterns:\n  employee: 'EMP-[0-9]{6}'\nwithout: [token]\n")
        rules = redaction_rules(str(path))
        assert rules
        text = "badge=1&token=abc&x.y=2&xzy=3&who=EMP-123456"
        assert redacted(text, rules) == "badge=REDACTED&token=abc&x.y=REDACTED&xzy=3&who=REDACTED"
        assert rules.version != Rules().version

    def test_a_short_pattern_is_found_in_ids_too(self) -> None:
        rules = redaction_rules({"patterns": {"employee": "EMP-[0-9]{6}"}})
        assert rules
        assert redacted("EMP-123456", rules, column="account_name") == "REDACTED"

    def test_only_rules_of_ones_own(self) -> None:
        rules = redaction_rules({"default": False, "keys": ["badge"]})
        assert redacted("badge=1&token=abc", rules) == "badge=REDACTED&token=abc"

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"patterns": {"mine": "("}}, "the pattern 'mine' is not a regular expression: missing \\)"),
            (
                {"patterns": {"mine": "(?<=a)b"}},
                "the pattern 'mine' is not a regular expression: invalid perl operator",
            ),
            ({"patterns": {"mine": "a*"}}, "the pattern 'mine' matches an empty text"),
            ({"patterns": {"mine": 3}}, "the pattern 'mine' is not a text"),
            ({"patterns": {"token": "a"}}, "there is a rule of the name 'token' already"),
            ({"patterns": ["a"]}, "patterns is not a mapping"),
            ({"keys": "token"}, "keys is not a list of texts"),
            ({"keys": [""]}, "keys is not a list of texts"),
            ({"without": ["tokn"]}, "there is no 'tokn'; the nearest name is 'token'"),
            ({"witout": []}, "there is no 'witout'; the nearest name is 'without'"),
            ({"default": "yes"}, "default is 'yes', of type str"),
            ([], "redaction is of type list"),
            ("/no/such/file.yaml", "/no/such/file.yaml: the rules of redaction cannot be read"),
        ],
    )
    def test_what_is_wrong_is_said(self, given: Any, told: str) -> None:
        with pytest.raises(ConfigurationError, match=told):
            redaction_rules(given)

    def test_a_file_that_is_not_yaml_is_named_with_its_line(self, tmp_path: Path) -> None:
        path = tmp_path / "rules.yaml"
        path.write_text("keys: [a]\n  patterns: {")
        with pytest.raises(ConfigurationError, match=r"rules\.yaml: the rules of redaction are not YAML in line 2"):
            redaction_rules(path)

    def test_the_version_follows_from_the_rules_alone(self) -> None:
        """In another process too, for a retry elsewhere must come to the same outcome."""
        told = subprocess.run(
            [sys.executable, "-c", "from airflow_provider_imperva.privacy.rules import Rules; print(Rules().version)"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert told.stdout.strip() == Rules().version

    def test_the_default_rules_need_no_arrow(self) -> None:
        """A scheduler parses DAG files all day."""
        code = "import sys; from airflow_provider_imperva.privacy.rules import redaction_rules as r; r(True)"
        subprocess.run([sys.executable, "-c", f"{code}; assert 'pyarrow' not in sys.modules"], check=True)
