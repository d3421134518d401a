"""Whatever the bytes are, decoding ends in a verified body or in an error of ours."""

import contextlib
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_imperva.container import KeyRing, decode
from airflow_provider_imperva.container.inflate import inflate
from airflow_provider_imperva.errors import ContainerError
from airflow_provider_imperva.options import DecodePolicy
from airflow_provider_imperva.testing.forge import KeyPair, forge_log

PAIR = KeyPair.generate("1", bits=1024)
RING = KeyRing({"1": PAIR.private_key})
SMALL = DecodePolicy(max_plain_bytes=1 << 20)

bodies = st.one_of(
    st.binary(max_size=200).map(lambda junk: b"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| " + junk),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=200).map(str.encode),
)
containers = st.builds(
    forge_log, bodies, compress=st.booleans(), header=st.booleans(), key=st.sampled_from([None, PAIR])
)
fragments = st.sampled_from(
    [
        b"|==|\n",
        b"\n|==|\n",
        b"accountId:1\n",
        b"checksum:\n",
        b"publicKeyId:1\n",
        b"key:QUJD\n",
        b"x\x9c",
        b"\x1f\x8b\x08",
        b"CEF:0|",
    ]
)


def assert_ours(error: ContainerError) -> None:
    assert str(error).startswith("8416_1.log: ")


@settings(deadline=None)
@given(st.lists(st.one_of(fragments, st.binary(max_size=40)), max_size=8).map(b"".join))
def test_any_bytes_end_in_a_body_or_in_our_error(content: bytes) -> None:
    try:
        plain = decode(content, log="8416_1.log", keys=RING, policy=SMALL)
    except ContainerError as error:
        assert_ours(error)
    else:
        assert len(plain.body) == plain.size


@settings(deadline=None)
@given(st.data(), containers)
def test_a_damaged_container_ends_in_a_body_or_in_our_error(data: st.DataObject, content: bytes) -> None:
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, len(content)))
    damaged = content[:begin] + data.draw(st.binary(max_size=20)) + content[end:]
    try:
        decode(damaged, log="8416_1.log", keys=RING, policy=SMALL)
    except ContainerError as error:
        assert_ours(error)


@settings(deadline=None)
@given(bodies, st.booleans(), st.booleans())
def test_what_was_forged_comes_back(body: bytes, compress: bool, encrypt: bool) -> None:
    content = forge_log(body, compress=compress, key=PAIR if encrypt else None)
    plain = decode(content, log="8416_1.log", keys=RING)
    assert plain.body == body
    assert plain.checksum_ok


@settings(max_examples=300, deadline=None)
@given(st.data(), bodies, st.booleans())
def test_a_damaged_encrypted_body_never_decodes_to_another(data: st.DataObject, body: bytes, compress: bool) -> None:
    content = forge_log(body, compress=compress, key=PAIR)
    start = content.index(b"\n|==|\n") + 6
    begin = data.draw(st.integers(start, len(content)))
    end = data.draw(st.integers(begin, len(content)))
    damaged = content[:begin] + data.draw(st.binary(max_size=40)) + content[end:]
    with contextlib.suppress(ContainerError):
        assert decode(damaged, log="8416_1.log", keys=RING).body == body


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3), st.integers(1, 50))
def test_where_the_compressed_bytes_are_cut_does_not_matter(members: list[bytes], size: int) -> None:
    stored = b"".join(map(zlib.compress, members))
    pieces = [stored[start : start + size] for start in range(0, len(stored), size)]
    assert b"".join(inflate(pieces, log="8416_1.log")) == b"".join(members)
