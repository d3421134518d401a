"""What somebody who can write to the whole lake may do, and what verify and certificate --check say to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_imperva.audit.certificate import issue
from airflow_provider_imperva.audit.certified import check, read_certificate
from airflow_provider_imperva.audit.findings import Finding
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.audit.redo import RedoSelection
from airflow_provider_imperva.audit.trusted import TrustedInputs
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.clock import wall_clock
from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.seal.anchors import open_anchors
from airflow_provider_imperva.seal.signature import PublicKeys, SigningKey
from airflow_provider_imperva.seal.timestamps import TrustedAuthorities
from tests.audit.insider import (
    ATTACKS,
    MONTH,
    REPOSITORY,
    Insider,
    Sealed,
    edit_a_certificate,
    kinds,
    make_sealed_lake,
    told,
)

pytestmark = pytest.mark.needs("openssl", "faketime")
PAGE = Path(__file__).resolve().parents[2] / "docs/reference/insiders.md"
_BEGIN, _END = "<!-- made by tests/audit/test_insider.py -->\n", "<!-- end -->\n"
_GIVEN = ("nothing", "redo", "timestamps", "key", "anchor", "both")
_GIVEN_WITH_THE_KEY = ("key", "timestamps", "anchor")
_FOUND_WITH_NOTHING = {
    "date_ahead",
    "move_a_part",
    "delete_claim_and_intents",
    "plant_claims_and_arrivals",
}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return make_sealed_lake(tmp_path_factory.mktemp("sealed"))


def given(sealed: Sealed, with_what: str) -> TrustedInputs:
    keys = PublicKeys.of_files([sealed.keys.public] if with_what in ("key", "both") else [])
    anchors = open_anchors(str(sealed.anchors)).read() if with_what in ("anchor", "both") else []
    authorities = TrustedAuthorities.of_files([sealed.authority.root] if with_what == "timestamps" else [])
    return TrustedInputs(tuple(anchors), keys, authorities)


def verified(sealed: Sealed, lake: Path, with_what: str) -> list[Finding]:
    redo = RedoSelection(100) if with_what == "redo" else None
    found = verify_lake(open_store(str(lake)), trusted=given(sealed, with_what), redo=redo)
    return [*found.findings, *(finding for one in found.repositories for finding in one.findings)]


def checked(sealed: Sealed, lake: Path, content: bytes, with_what: str) -> list[Finding]:
    certificate, digest = read_certificate(content, about="certificate")
    done = check(open_store(str(lake)), certificate, digest=digest, trusted=given(sealed, with_what), at=wall_clock())
    return done.findings


@pytest.fixture(scope="module")
def table(sealed: Sealed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What each attack comes to: by its name, what each proof says."""
    found: dict[str, dict[str, str]] = {}
    for attack in ATTACKS:
        lake = Path(shutil.copytree(sealed.lake, tmp_path_factory.mktemp(attack.__name__) / "lake"))
        insider = Insider(lake)
        attack(insider)
        insider.stamp_anew(sealed.authority)
        cells = {f"verify {name}": kinds(verified(sealed, lake, name)) for name in _GIVEN}
        found[attack.__name__] = {"what": told(attack)} | cells | dict(_certificates(sealed, lake))
    certificate = tmp_path_factory.mktemp("certificate") / "certificate.json"
    shutil.copy(sealed.certificate, certificate)
    edit_a_certificate(certificate)
    cells = {f"check {name}": kinds(checked(sealed, sealed.lake, certificate.read_bytes(), name)) for name in _CHECKED}
    found[edit_a_certificate.__name__] = {"what": told(edit_a_certificate)} | cells
    return found


_CHECKED = ("nothing", "timestamps", "key", "anchor", "both")


@pytest.fixture(scope="module")
def table_with_the_key(sealed: Sealed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What the first eight attacks come to if the insider has the signing key too, and signs each commit anew."""
    signer = SigningKey.of_file(str(sealed.keys.private))
    found: dict[str, dict[str, str]] = {}
    for attack in ATTACKS[:8]:
        lake = Path(shutil.copytree(sealed.lake, tmp_path_factory.mktemp(attack.__name__) / "lake"))
        insider = Insider(lake, signer=signer)
        attack(insider)
        insider.stamp_anew(sealed.authority)
        cells = {f"signed {name}": kinds(verified(sealed, lake, name)) for name in _GIVEN_WITH_THE_KEY}
        found[attack.__name__] = {"what": told(attack)} | cells
    return found


def _certificates(sealed: Sealed, lake: Path) -> Iterator[tuple[str, str]]:
    """Check the certificate that the insider issues of the forged lake, and the one that was issued before."""
    try:
        forged = issue(open_store(str(lake)), REPOSITORY, Period.parse(MONTH), at=wall_clock())
    except (ConfigurationError, LakeError) as error:
        yield from ((f"check {name}", f"**{error.reason}**") for name in _CHECKED)
    else:
        for name in _CHECKED:
            yield f"check {name}", kinds(checked(sealed, lake, forged, name))
    yield "kept", kinds(checked(sealed, lake, sealed.certificate.read_bytes(), "nothing"))


def test_the_sealed_lake_itself_is_sound(sealed: Sealed) -> None:
    for name in _GIVEN:
        assert verified(sealed, sealed.lake, name) == []
        assert checked(sealed, sealed.lake, sealed.certificate.read_bytes(), name) == []


def test_with_key_and_anchor_none_passes(table: dict[str, dict[str, str]]) -> None:
    passed = [
        name for name, cells in table.items() for key, cell in cells.items() if "both" in key and cell == "passes"
    ]
    # Of a claim that is gone or was planted no certificate speaks.
    assert set(passed) <= {"delete_claim_and_intents", "plant_claims_and_arrivals"}
    assert all(cells.get("verify both", "found") != "passes" for cells in table.values())


def test_with_the_anchor_none_passes_that_the_signing_key_was_used_for(
    table_with_the_key: dict[str, dict[str, str]],
) -> None:
    assert [name for name, cells in table_with_the_key.items() if cells["signed anchor"] == "passes"] == []
    # The key vouches for all of them, unless they contradict themselves.
    passed = {name for name, cells in table_with_the_key.items() if cells["signed key"] == "passes"}
    assert passed == {attack.__name__ for attack in ATTACKS[:8]} - _FOUND_WITH_NOTHING


def test_timestamps_rule_out_backdating_with_the_signing_key_and_without_anchors(
    table: dict[str, dict[str, str]], table_with_the_key: dict[str, dict[str, str]]
) -> None:
    for cells in (table["backdate"]["verify timestamps"], table_with_the_key["backdate"]["signed timestamps"]):
        assert cells == "**time**"
    # Whatever is made anew later is backdated, but what is cut off leaves a chain that was there.
    passed = {name for name, cells in table_with_the_key.items() if cells["signed timestamps"] == "passes"}
    assert passed == {"cut_the_end_off"}


def test_what_contradicts_itself_needs_nothing_to_be_found(table: dict[str, dict[str, str]]) -> None:
    found = {name for name, cells in table.items() if cells.get("verify nothing", "passes") != "passes"}
    assert found == _FOUND_WITH_NOTHING


def test_decoding_again_finds_rows_that_the_bytes_do_not_give(table: dict[str, dict[str, str]]) -> None:
    for name in ("edit_a_row", "remove_an_event", "put_other_bytes_into_raw"):
        assert table[name]["verify redo"] == "**contradiction**"


@pytest.mark.parametrize("attack", [attack.__name__ for attack in ATTACKS[:8]])
def test_a_certificate_that_somebody_kept_finds_what_was_rewritten(
    table: dict[str, dict[str, str]], attack: str
) -> None:
    assert table[attack]["kept"] != "passes"


def test_the_page_says_what_was_found(
    table: dict[str, dict[str, str]], table_with_the_key: dict[str, dict[str, str]]
) -> None:
    text = PAGE.read_text()
    made = "\n".join([*_lines(table), *_lines_with_the_key(table_with_the_key)]) + "\n"
    assert text.partition(_BEGIN)[2].partition(_END)[0] == made, f"put this between the marks of {PAGE.name}:\n{made}"


def _lines(table: dict[str, dict[str, str]]) -> Iterator[str]:
    heads = {
        "verify": [f"verify {name}" for name in _GIVEN],
        "check": [*(f"check {name}" for name in _CHECKED), "kept"],
    }
    for title, columns in heads.items():
        label = "`verify`" if title == "verify" else "`certificate --check` of one that the insider issued"
        yield from _table(label, columns, table)
    yield ""


def _lines_with_the_key(table: dict[str, dict[str, str]]) -> Iterator[str]:
    yield "The same by an insider who has the signing key too, and signs every commit anew:"
    yield from _table("`verify`", [f"signed {name}" for name in _GIVEN_WITH_THE_KEY], table)
    yield ""


def _table(label: str, columns: list[str], table: dict[str, dict[str, str]]) -> Iterator[str]:
    yield ""
    yield f"| {label} | {' | '.join(_NAMES.get(column.split()[-1], 'one that was kept') for column in columns)} |"
    yield f"|---|{'---|' * len(columns)}"
    for number, cells in enumerate(table.values(), 1):
        yield f"| {number}. {cells['what']} | {' | '.join(cells.get(column, '-') for column in columns)} |"


_NAMES = {
    "nothing": "with nothing",
    "redo": "`--redo`",
    "timestamps": "timestamps",
    "key": "public key",
    "anchor": "anchor",
    "both": "key and anchor",
}
