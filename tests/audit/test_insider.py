"""What somebody who can write to the whole lake may do, and what verify and certificate --check say to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

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
    Attack,
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
    "date_ahead": "**time**",
    "move_a_part": "**time**",
    "delete_claim_and_intents": "**missing**",
    "plant_claims_and_arrivals": "**contradiction, unnamed**",
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
    verification = verify_lake(open_store(str(lake)), trusted=given(sealed, with_what), redo=redo)
    return [*verification.findings, *(finding for one in verification.repositories for finding in one.findings)]


def checked(sealed: Sealed, lake: Path, content: bytes, with_what: str) -> list[Finding]:
    certificate, digest = read_certificate(content, about="certificate")
    done = check(open_store(str(lake)), certificate, digest=digest, trusted=given(sealed, with_what), at=wall_clock())
    return done.findings


_CHECKED = ("nothing", "timestamps", "key", "anchor", "both")

Cells: TypeAlias = dict[str, str]


class Outcomes(Mapping[str, Cells]):
    """What attacks come to, by their names: what they do, and what each proof says. Tried when asked for."""

    def __init__(self, attempts: Mapping[str, Callable[[], Cells]]) -> None:
        self._attempts = attempts
        self._cells: dict[str, Cells] = {}

    def __getitem__(self, name: str) -> Cells:
        if name not in self._cells:
            self._cells[name] = self._attempts[name]()
        return self._cells[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._attempts)

    def __len__(self) -> int:
        return len(self._attempts)


@pytest.fixture(scope="module")
def table(sealed: Sealed, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What each attack comes to."""

    def attempt(attack: Attack) -> Cells:
        lake = attacked(sealed, tmp_path_factory, attack)
        cells = {f"verify {name}": kinds(verified(sealed, lake, name)) for name in _GIVEN}
        return {"what": told(attack)} | cells | dict(_certificates(sealed, lake))

    def edited_certificate() -> Cells:
        certificate = tmp_path_factory.mktemp("certificate") / "certificate.json"
        shutil.copy(sealed.certificate, certificate)
        edit_a_certificate(certificate)
        content = certificate.read_bytes()
        cells = {f"check {name}": kinds(checked(sealed, sealed.lake, content, name)) for name in _CHECKED}
        return {"what": told(edit_a_certificate)} | cells

    return Outcomes(
        {attack.__name__: partial(attempt, attack) for attack in ATTACKS}
        | {edit_a_certificate.__name__: edited_certificate}
    )


@pytest.fixture(scope="module")
def table_with_the_key(sealed: Sealed, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What the first eight attacks come to if the insider has the signing key too, and signs each commit again."""
    signer = SigningKey.of_file(str(sealed.keys.private))

    def attempt(attack: Attack) -> Cells:
        lake = attacked(sealed, tmp_path_factory, attack, signer=signer)
        cells = {f"signed {name}": kinds(verified(sealed, lake, name)) for name in _GIVEN_WITH_THE_KEY}
        return {"what": told(attack)} | cells

    return Outcomes({attack.__name__: partial(attempt, attack) for attack in ATTACKS[:8]})


def attacked(sealed: Sealed, folders: pytest.TempPathFactory, attack: Attack, signer: SigningKey | None = None) -> Path:
    """Attack a copy of the lake."""
    lake = Path(shutil.copytree(sealed.lake, folders.mktemp(attack.__name__) / "lake"))
    insider = Insider(lake, signer=signer)
    attack(insider)
    insider.stamp_anew(sealed.authority)
    return lake


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


@pytest.mark.parametrize("attack", [attack.__name__ for attack in (*ATTACKS, edit_a_certificate)])
def test_with_key_and_anchor_none_passes(table: Outcomes, attack: str) -> None:
    cells = table[attack]
    assert cells.get("verify both", "found") != "passes"
    # Of a claim that is gone or was planted no certificate speaks.
    if attack not in ("delete_claim_and_intents", "plant_claims_and_arrivals"):
        assert cells["check both"] != "passes"


def test_with_the_anchor_none_passes_that_the_signing_key_was_used_for(
    table_with_the_key: Outcomes,
) -> None:
    assert [name for name, cells in table_with_the_key.items() if cells["signed anchor"] == "passes"] == []
    # The key vouches for all of them, unless they contradict themselves.
    passed = {name for name, cells in table_with_the_key.items() if cells["signed key"] == "passes"}
    assert passed == {attack.__name__ for attack in ATTACKS[:8]} - _FOUND_WITH_NOTHING.keys()


def test_timestamps_rule_out_backdating_with_the_signing_key_and_without_anchors(
    table: Outcomes, table_with_the_key: Outcomes
) -> None:
    for cells in (table["backdate"]["verify timestamps"], table_with_the_key["backdate"]["signed timestamps"]):
        assert cells == "**time**"
    # Whatever is made again later is backdated, but what is cut off leaves a chain that was there.
    passed = {name for name, cells in table_with_the_key.items() if cells["signed timestamps"] == "passes"}
    assert passed == {"cut_the_end_off"}


@pytest.mark.parametrize("attack", [attack.__name__ for attack in ATTACKS])
def test_what_contradicts_itself_needs_nothing_to_be_found(table: Outcomes, attack: str) -> None:
    assert table[attack]["verify nothing"] == _FOUND_WITH_NOTHING.get(attack, "passes")


@pytest.mark.parametrize("attack", ["edit_a_row", "remove_an_event", "put_other_bytes_into_raw"])
def test_decoding_again_finds_rows_that_the_bytes_do_not_give(table: Outcomes, attack: str) -> None:
    assert table[attack]["verify redo"] == "**contradiction**"


@pytest.mark.parametrize("attack", [attack.__name__ for attack in ATTACKS[:8]])
def test_a_certificate_that_somebody_kept_finds_what_was_rewritten(table: Outcomes, attack: str) -> None:
    assert table[attack]["kept"] != "passes"


def test_the_page_says_what_was_found(table: Outcomes, table_with_the_key: Outcomes) -> None:
    text = PAGE.read_text()
    made = "\n".join([*_lines(table), *_lines_with_the_key(table_with_the_key)]) + "\n"
    assert text.partition(_BEGIN)[2].partition(_END)[0] == made, f"put this between the marks of {PAGE.name}:\n{made}"


def _lines(table: Outcomes) -> Iterator[str]:
    heads = {
        "verify": [f"verify {name}" for name in _GIVEN],
        "check": [*(f"check {name}" for name in _CHECKED), "kept"],
    }
    for title, columns in heads.items():
        label = "`verify`" if title == "verify" else "`certificate --check` of one that the insider issued"
        yield from _table(label, columns, table)
    yield ""


def _lines_with_the_key(table: Outcomes) -> Iterator[str]:
    yield "The same by an insider who has the signing key too, and signs every commit again:"
    yield from _table("`verify`", [f"signed {name}" for name in _GIVEN_WITH_THE_KEY], table)
    yield ""


def _table(label: str, columns: list[str], table: Outcomes) -> Iterator[str]:
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
