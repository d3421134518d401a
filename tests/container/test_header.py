"""What the header says is read as Imperva writes it, and only what is a header is taken for one."""

import io
import time

import pytest

from airflow_provider_imperva.container import LogHeader, split_container
from airflow_provider_imperva.errors import TruncatedError

ENCRYPTED = (
    b"accountId:1\nconfigId:2\nchecksum:549C035bf2ffcaa0fe1b7644f8edf61b\nformat:CEF\n"
    b"startTime:1759413560916\nendTime:1759413775485\npublicKeyId:1\nkey:QUJD\n|==|\n"
)


def split(content: bytes) -> tuple[LogHeader | None, bytes]:
    header, body = split_container(io.BytesIO(content), log="8416_1.log")
    return header, body.read(0, body.size)


def test_every_line_of_a_header_has_its_field() -> None:
    header, body = split(ENCRYPTED + b"\x00\x01body")
    assert header == LogHeader(
        account_id=1,
        config_id=2,
        checksum="549c035bf2ffcaa0fe1b7644f8edf61b",
        format="CEF",
        start_time=1759413560916,
        end_time=1759413775485,
        public_key_id="1",
        wrapped_key="QUJD",
    )
    assert header.encrypted
    assert body == b"\x00\x01body"


def test_case_blanks_line_ends_and_byte_order_mark_do_not_matter() -> None:
    header, body = split(b"\xef\xbb\xbfACCOUNTID: 405057 \r\nFormat:LEEF\r\n\r\nconfigid:618\r\n|==|\r\nLEEF:1.0|")
    assert header == LogHeader(account_id=405057, config_id=618, format="LEEF")
    assert body == b"LEEF:1.0|"


def test_lines_we_do_not_know_are_kept_as_written() -> None:
    header, _ = split(b"accountId:1\nnewThing: a:b \nno colon\n|==|\n")
    assert header is not None
    assert header.unknown == {"newThing": "a:b", "no colon": ""}


@pytest.mark.parametrize("text", ["abc", "-5", "1_000", "9223372036854775808", "٣", "1e3", "9" * 5000])
def test_a_number_that_is_none_does_not_fail_the_log(text: str) -> None:
    header, body = split(f"accountId:{text}\nstartTime:7\n|==|\nCEF:".encode())
    assert header is not None
    assert header.account_id is None
    assert header.unknown == {"accountId": text}
    assert header.start_time == 7
    assert body == b"CEF:"


@pytest.mark.parametrize("time", ["253402300800000", "1767225600000000000"])
def test_a_time_that_no_calendar_has_is_none(time: str) -> None:
    """Readers of the lake, and of the ledger, would not get past it."""
    header, _ = split(f"startTime:{time}\nendTime:253402300799999\naccountId:{time}\n|==|\n".encode())
    assert header is not None
    assert (header.start_time, header.end_time, header.account_id) == (None, 253402300799999, int(time))
    assert header.unknown == {"startTime": time}


@pytest.mark.parametrize("name", ["Fields", "#Fields", "fields"])
def test_names_of_w3c_values_may_stand_in_the_header(name: str) -> None:
    for lines in (f"format:W3C\n{name}: c-ip sc-status", f"{name}: c-ip sc-status\nformat:W3C"):
        header, body = split(f"{lines}\n|==|\n".encode() + b'"192.0.2.1" "200"')
        assert header == LogHeader(format="W3C", fields="c-ip sc-status")
        assert body == b'"192.0.2.1" "200"'


def test_the_first_of_two_equal_keys_counts() -> None:
    header, _ = split(b"checksum:aa\nchecksum:bb\n|==|\n")
    assert header is not None
    assert header.checksum == "aa"
    assert header.unknown == {"checksum": "bb"}


def test_empty_key_lines_mean_a_clear_log() -> None:
    header, _ = split(b"accountId:1\npublicKeyId:\nkey:\n|==|\n")
    assert header is not None
    assert not header.encrypted


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b""])
def test_one_line_end_after_the_separator_is_dropped(line_end: bytes) -> None:
    assert split(b"format:CEF\n|==|" + line_end + b"CEF:0|")[1] == b"CEF:0|"


def test_a_second_line_end_belongs_to_the_body() -> None:
    assert split(b"format:CEF\n|==|\n\nCEF:0|")[1] == b"\nCEF:0|"


def test_a_separator_at_the_very_beginning_is_an_empty_header() -> None:
    assert split(b"|==|CEF:0|x") == (LogHeader(), b"CEF:0|x")


def test_the_log_is_split_once() -> None:
    body = b"CEF:0|a\n|==|\nCEF:0|b|==|\n"
    assert split(b"format:CEF\n|==|\n" + body)[1] == body


def test_a_separator_within_a_line_is_none() -> None:
    header, body = split(b"format:x|==|y\n|==|\nCEF:")
    assert header is not None
    assert header.format == "x|==|y"
    assert body == b"CEF:"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"a":1}\n',
        b'\xef\xbb\xbf\n[{"a":1}]',
        # An attacker's post body with line ends must not turn the events before it into a header.
        b"CEF:0|Incapsula|x| postbody=a\n|==|\nCEF:0|b",
        b"0|Incapsula|x|\nkey:1\n|==|\nCEF:0|b",
        b"0|Imperva Inc|x|\nkey:1\n|==|\nCEF:0|b",
        b'#Fields: cs-postbody\n"a"\n"\nkey:1\n|==|\n"\n',
        b'#Fields: cs-postbody\n|==|\n"a"\n',
        b"some text\n|==|\nmore of it",
        b"x" * 70_000 + b"\nformat:CEF\n|==|\nCEF:",
    ],
)
def test_content_without_a_header_is_all_body(content: bytes) -> None:
    assert split(content) == (None, content)


def test_the_separator_is_looked_for_in_the_first_64_kib_only() -> None:
    filler = b"accountId:1\n" + b"".join(b"k%d:v\n" % i for i in range(20_000))
    with pytest.raises(TruncatedError):
        split(filler + b"|==|\nCEF:")


@pytest.mark.parametrize("cut", [12, 40, 100, len(ENCRYPTED) - 2])
def test_a_log_cut_within_its_header_is_truncated(cut: int) -> None:
    with pytest.raises(TruncatedError, match=r"8416_1\.log: \d+ bytes that begin like a header"):
        split(ENCRYPTED[:cut])


def test_the_wrapped_key_and_strange_lines_stay_out_of_the_repr() -> None:
    header, _ = split(ENCRYPTED.replace(b"format", b"secret-word:x\nformat"))
    assert "QUJD" not in repr(header)
    assert "secret-word" not in repr(header)


def test_a_megabyte_of_blanks_takes_no_time() -> None:
    begin = time.monotonic()
    split(b" " * 60_000 + b"\n" + b" " * 1_000_000)
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize(
    ("text", "expected", "code"),
    [
        ("1700000000000", 1_700_000_000_000, None),
        ("1700000000", 1_700_000_000_000, "epoch_seconds"),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000, None),
        ("2023-11-14T22:13:20.5", 1_700_000_000_500, None),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000_000, None),
        ("2023-11-14 22:13:20", 1_700_000_000_000, None),
        ("0", None, "bad_time"),
        ("0000000000000", None, "bad_time"),
        ("-1", None, "bad_time"),
        ("yesterday", None, "bad_time"),
        ("2023-13-45", None, "bad_time"),
    ],
)
def test_times_are_milliseconds_seconds_or_iso_and_nothing_is_of_1970(
    text: str, expected: int | None, code: str | None
) -> None:
    header, _ = split(f"accountId:1\nstartTime:{text}\nendTime:{text}\n|==|\nCEF:".encode())
    assert header is not None
    assert (header.start_time, header.end_time) == (expected, expected)
    assert header.warnings == ((f"{code}:startTime", f"{code}:endTime") if code else ())


def test_times_may_be_missing() -> None:
    header, _ = split(b"accountId:1\nendTime:\n|==|\nCEF:")
    assert header is not None
    assert (header.start_time, header.end_time, header.warnings) == (None, None, ())
