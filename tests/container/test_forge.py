"""The forge writes what it says it writes, and the same again from the same seed."""

import re
import stat
from itertools import pairwise
from pathlib import Path

from airflow_provider_imperva.container import KeyRing, decode
from airflow_provider_imperva.testing.forge import FORGED_START, KeyPair, forge_events, forge_log, forge_repository

KEY = re.compile(r"(?:^|(?<= ))(\w+)(?<!\\)=")


def test_the_seed_decides_the_events() -> None:
    assert forge_events(20, seed=5) == forge_events(20, seed=5) != forge_events(20, seed=6)


def test_events_have_the_shape_of_real_ones() -> None:
    events = forge_events(400, seed=1, security_share=0.5)
    access = [event for event in events if "|Normal|0| " in event]
    assert 100 < len(access) < 300
    assert all("\n" not in event and event.startswith("CEF:0|Incapsula|SIEMintegration|1|1|") for event in events)
    keys = [KEY.findall(event) for event in events]
    assert all(len(names) == len(set(names)) for names in keys), "an equals sign in a value was not escaped"
    assert sum(map(len, keys)) / len(keys) > 42
    text = "\n".join(events)
    for shape in (
        r"qstr=\S*\\=",
        " src=2001:db8:",
        "cs9= cs9Label",
        "fileType=50033,",
        "Iaşi",
        'cs10=[{"',
        "(Slow down \\|",
    ):
        assert re.search(re.escape(shape) if "\\S" not in shape else shape, text), shape
    bad = [event for event in access if "act=REQ_BAD" in event]
    assert bad
    assert not any(" cn1=" in event or " in=" in event for event in bad)


def test_events_lie_within_their_span() -> None:
    found = [re.findall(r" start=(\d+)", event) for event in forge_events(100, start=5000, span_ms=10)]
    starts = [int(start) for [start] in found]
    assert starts == sorted(starts)
    assert 5000 <= starts[0] <= starts[-1] < 5010


def test_the_private_key_is_for_its_owner_only(key_pair: KeyPair, tmp_path: Path) -> None:
    path = key_pair.write(tmp_path)
    assert path == tmp_path / "1" / "Private.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_repository_skips_numbers_rotates_keys_and_overlaps_in_time(
    ring: KeyRing, key_pair: KeyPair, other_pair: KeyPair
) -> None:
    logs = list(forge_repository(6, first=7, skip={8, 9}, seed=1, events_per_log=5, keys=[key_pair, other_pair]))
    assert [log.name for log in logs] == [f"8416_{number}.log" for number in (7, 10, 11, 12, 13, 14)]
    plains = [decode(log.content, log=log.name, keys=ring) for log in logs]
    assert [plain.header.public_key_id for plain in plains if plain.header] == ["1", "1", "1", "2", "2", "2"]
    for log, plain in zip(logs, plains, strict=True):
        assert plain.body.decode() == "".join(f"{event}\n" for event in log.events)
        assert plain.checksum_ok
    headers = [plain.header for plain in plains if plain.header]
    spans = [(header.start_time or 0, header.end_time or 0) for header in headers]
    assert spans[0][0] == FORGED_START
    assert all(start < next_start < end for (start, end), (next_start, _) in pairwise(spans))


def test_a_log_does_not_depend_on_how_many_come_with_it() -> None:
    (alone,) = forge_repository(1, first=3, seed=9, start=0)
    among, *_ = forge_repository(3, first=3, seed=9, start=0)
    assert alone == among


def test_a_log_without_header_is_its_body() -> None:
    assert forge_log('{"a":1}', header=False) == b'{"a":1}'
