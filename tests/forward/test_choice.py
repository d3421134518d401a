"""What is chosen, cut and paced, and that every line is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions, Format
from airflow_provider_imperva.forward.event import Event
from airflow_provider_imperva.forward.framing import FRAMINGS
from airflow_provider_imperva.forward.rate_limit import RateLimiter
from airflow_provider_imperva.forward.size import fitted
from airflow_provider_imperva.forward.syslog import message_writer
from airflow_provider_imperva.privacy.protection import Protection
from tests.forward.sending import Collector, forwarding, ids_of, lines_of, send_all
from tests.load.load_runs import Account

Load = Callable[..., None]
ADDRESS = Address(host="siem.example", port=6514)


def send(account: Account, **options: Any) -> tuple[Collector, Any]:
    collector = Collector()
    name = f"siem{len(options)}-{abs(hash(str(options)))}"
    given_options = DestinationOptions(**options)
    sending = forwarding(account, given_options, address=ADDRESS, name=name, connect=lambda: collector)
    (outcome,) = send_all(sending, start="oldest")
    assert outcome.imbalance() is None
    return collector, outcome


def test_classes(account: Account, load: Load) -> None:
    load(1, 2, events=100)
    security, outcome = send(account, classes=("security",))
    access, _ = send(account, classes=("access",))
    assert {event.event_class for event in security.events} == {"security"}
    assert {event.event_class for event in access.events} == {"access"}
    assert sorted(event.id for event in security.events + access.events) == sorted(ids_of(account))
    assert outcome.filtered == {"class": len(access.events)}


def test_sites_by_name(account: Account, load: Load) -> None:
    load(1, 2, events=100)
    everything, _ = send(account)
    sites = Counter(event.site for event in everything.events)
    site, count = sites.most_common(1)[0]
    one, outcome = send(account, sites=(site,))
    assert len(one.events) == count
    assert outcome.filtered.get("site", 0) == 200 - count


def test_a_sample_is_of_access_events_and_the_same_each_time(account: Account, load: Load) -> None:
    load(1, 2, events=200)
    sampled, outcome = send(account, sample=0.25)
    again, _ = send(account, sample=0.25, window=77)
    assert [event.id for event in sampled.events] == [event.id for event in again.events]
    everything, _ = send(account)
    security = [event.id for event in everything.events if event.event_class != "access"]
    assert set(security) <= {event.id for event in sampled.events}
    access = len(everything.events) - len(security)
    assert 0.15 * access < len(sampled.events) - len(security) < 0.35 * access
    assert outcome.filtered == {"sample": 400 - len(sampled.events)}


class TestLarge:
    def test_truncated(self, account: Account, load: Load) -> None:
        load(1)
        collector, outcome = send(account, largest_event=300)
        assert [event.body for event in collector.events] == [line[:300] for line in lines_of(account)]
        assert (outcome.sent, outcome.truncated) == (50, 50)

    def test_split(self, account: Account, load: Load) -> None:
        load(1)
        collector, outcome = send(account, largest_event=300, on_large="split")
        assert max(len(event.body) for event in collector.events) <= 300
        assert b"".join(event.body for event in collector.events) == b"".join(lines_of(account))
        assert (outcome.sent, outcome.messages) == (50, len(collector.events))
        ids = [event.id for event in collector.events]
        assert len(set(ids)) == len(ids)
        assert {name.split("#")[0] for name in ids} == set(ids_of(account))

    def test_rejected(self, account: Account, load: Load) -> None:
        load(1)
        median = sorted(map(len, lines_of(account)))[25]
        collector, outcome = send(account, largest_event=median, on_large="reject")
        assert [event.body for event in collector.events] == [line for line in lines_of(account) if len(line) <= median]
        assert outcome.rejected == {"too_large": 50 - len(collector.events)}

    @given(st.text(max_size=60), st.integers(1, 20))
    def test_no_character_is_cut_in_two(self, text: str, largest: int) -> None:
        body = text.encode("utf-8", "replace")
        pieces = fitted(body, largest=max(largest, 4), how="split")
        assert b"".join(pieces) == body
        for piece in pieces:
            piece.decode()

    @given(st.binary(max_size=100), st.integers(1, 20))
    def test_bytes_that_are_no_text_are_split_too(self, body: bytes, largest: int) -> None:
        pieces = fitted(body, largest=largest, how="split")
        assert b"".join(pieces) == body
        assert all(0 < len(piece) <= largest for piece in pieces)


def test_lines_in_quarantine_are_held_back_or_sent(account: Account) -> None:
    from airflow_provider_imperva.testing import forge_log

    [forged] = account.serve(1, events=3)
    body = "\n".join([forged.events[0], "CEF:0|Incapsula|SIEMintegration", *forged.events[1:]])
    account.repository.add("8416_2.log", forge_log(body))
    account.run_some()
    held, outcome = send(account)
    assert (len(held.events), outcome.held_back, outcome.lines) == (6, 1, 7)
    sent, outcome = send(account, quarantined=True)
    assert (len(sent.events), outcome.held_back) == (7, 0)
    assert sent.events[4].body == b"CEF:0|Incapsula|SIEMintegration"
    assert sent.events[4].id.endswith("8416_2.log:2")


def test_bytes_that_are_not_utf8_are_sent_as_they_were(account: Account) -> None:
    from airflow_provider_imperva.testing import forge_log

    [forged] = account.serve(1, events=3)
    lines = [line.encode() for line in forged.events]
    lines[1] = lines[1].replace(b"requestClientApplication=", b"requestClientApplication=\xff\xfe\xe9")
    account.repository.add("8416_2.log", forge_log(b"\r\n".join(lines)))
    account.run_some()
    collector, _ = send(account)
    assert [event.body for event in collector.events[3:]] == lines


@pytest.mark.parametrize("format", ["as_received", "cef", "leef", "json", "ecs"])
def test_no_secret_leaves_in_any_format(account: Account, format: Format) -> None:
    """Nor in lines that are not UTF-8, whose exact bytes are sent, nor in lines that no parser takes."""
    from airflow_provider_imperva.testing import forge_log

    [forged] = account.serve(1, events=3)
    plain, query, latin = (line.encode() for line in forged.events)
    query = query.replace(b"requestClientApplication=", b"requestClientApplication=Bearer abcdefghij0123456789SECRET ")
    latin = latin.replace(
        b"requestClientApplication=", b"requestClientApplication=\xff Bearer abcdefghij0123456789SECRET "
    )
    none = b"a line of no format, Bearer abcdefghij0123456789SECRET"
    assert b"SECRET" in query + latin
    account.repository.add("8416_2.log", forge_log(b"\n".join([plain, query, latin, none])))
    account.run_some()
    lines_go = format not in ("json", "ecs")
    options = DestinationOptions(format=format, quarantined=lines_go)

    def bodies(name: str, protection: Protection | None) -> list[bytes]:
        collector = Collector()
        sending = forwarding(
            account, options, name=name, address=ADDRESS, connect=lambda: collector, protection=protection
        )
        send_all(sending, start="oldest")
        return [event.body for event in collector.events]

    sent = {"clear": bodies("clear", None), "redacted": bodies("redacted", Protection())}
    assert len(sent["clear"]) == len(sent["redacted"]) == 6 + lines_go
    assert [b"SECRET" in body for body in sent["clear"]].count(True) == 2 + lines_go
    assert not [body for body in sent["redacted"] if b"SECRET" in body]
    assert [b"REDACTED" in body for body in sent["redacted"]].count(True) == 2 + lines_go
    assert sent["redacted"][:4] == sent["clear"][:4]


class TestFraming:
    def test_octet_counting_takes_anything(self) -> None:
        assert FRAMINGS["octet"](b"a\nb\0") == b"4 a\nb\0"

    def test_a_line_feed_within_is_written_otherwise(self) -> None:
        assert FRAMINGS["lf"](b"a\r\nb") == b"a\\r\\nb\n"

    def test_a_nul_within_is_written_otherwise(self) -> None:
        assert FRAMINGS["nul"](b"a\0b\nc") == b"a\\x00b\nc\0"

    @given(st.binary(max_size=50))
    def test_no_content_ends_a_message_early(self, body: bytes) -> None:
        assert FRAMINGS["lf"](body).count(b"\n") == 1
        assert FRAMINGS["nul"](body).count(b"\0") == 1


class TestSyslogHeader:
    def write(self, header: Any, event: Event) -> bytes:
        return message_writer(header, facility="local4", severity="warning", host_name="waf", app_name="imperva")(event)

    def test_rfc5424(self) -> None:
        event = Event('r/a"b]\\.log:7', b"CEF:0|x", 1_767_225_600_007, "access", "")
        assert self.write("rfc5424", event) == (
            b'<164>1 2026-01-01T00:00:00.007Z waf imperva - - [imperva@32473 uid="r/a\\"b\\]\\\\.log:7"] CEF:0|x'
        )

    def test_rfc5424_without_a_time(self) -> None:
        assert self.write("rfc5424", Event("r/f:1", b"x", None, "", "")).startswith(b"<164>1 - waf imperva")

    def test_rfc3164(self) -> None:
        event = Event("r/f:1", b"CEF:0|x", 1_767_225_600_007, "access", "")
        assert self.write("rfc3164", event) == b"<164>Jan  1 00:00:00 waf imperva: CEF:0|x"

    def test_none(self) -> None:
        assert self.write("none", Event("r/f:1", b"CEF:0|x", 0, "", "")) == b"CEF:0|x"


class TestPace:
    def timed(self, **limits: Any) -> list[tuple[float, int]]:
        now = [0.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        limiter = RateLimiter(clock=lambda: now[0], sleep=sleep, **limits)
        sent = []
        for _ in range(10):
            for portion in limiter.portions([Event("id", b"x" * 100, 0, "", "")] * 50):
                sent.append((now[0], len(portion)))
        return sent

    @pytest.mark.parametrize(("limits", "rate"), [({"events_per_second": 20}, 20), ({"bytes_per_second": 3000}, 30)])
    def test_the_average_stays_below_the_limit(self, limits: dict[str, float], rate: float) -> None:
        sent = self.timed(**limits)
        assert sum(count for _, count in sent) == 500
        assert 500 / rate - 3 <= sent[-1][0] <= 500 / rate
        for (first, _), (second, _) in pairwise(sent):
            within = sum(count for at, count in sent if second <= at < second + 1)
            assert within <= 2 * rate + 1, first

    def test_without_a_limit_nothing_waits(self) -> None:
        assert self.timed()[-1][0] == 0
