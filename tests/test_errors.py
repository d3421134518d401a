"""No message shows what may be a key, whichever text it was built of, and each ends with a sentence of advice."""

from __future__ import annotations

import pickle
import traceback

import pytest

from airflow_provider_imperva.errors import ConfigurationError, MissingKeyError, quoted
from tests.messages import ANY, Call, calls, texts

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEhidden\n-----END RSA PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "text", [PEM, PEM.replace("\n", " "), PEM.replace("\n", "\\n"), "MIIEhidden\nMIIE", "a\rhidden"]
)
def test_a_key_is_not_shown_as_what_a_message_is_about_or_has_found(text: str) -> None:
    for error in (
        ConfigurationError("cannot be read", do="Name a folder", about=text),
        ConfigurationError(f"there is no {text}", do="Name a folder"),
        MissingKeyError(f"encrypted for {text}", do="Add it", about="8416_1.log"),
    ):
        for shown in (error, pickle.loads(pickle.dumps(error))):
            assert "hidden" not in "".join(traceback.format_exception(shown)) + repr(shown)
            assert "may be a key, and is not shown" in str(shown)


@pytest.mark.parametrize("text", [PEM, "A" * 64 + "hidden" + "B" * 64])
def test_a_value_that_may_be_a_key_is_not_quoted(text: str) -> None:
    assert "hidden" not in quoted(text)


def test_names_paths_and_addresses_are_shown() -> None:
    for text in ("/etc/imperva/keys", "s3://bucket/lake/raw/repository=8416_17", "8416_1.log", ""):
        assert quoted(text) == repr(text)
        assert str(ConfigurationError("is wrong", do="Correct it", about=text)).startswith(text)


_PLACES = {("lake/failure.py", "_Meaning"): 1, ("retention/policy.py", "_wrong"): 2}
"""Where advice is a positional argument."""


def is_sentence(advice: str) -> bool:
    """Whether a message can end with it: ``ImpervaError`` adds the full stop."""
    return advice[:1].isupper() and " " in advice and not advice.endswith((".", " ", ";", ":", ","))


def advice_of(call: Call) -> list[str]:
    """Return what a call tells the reader to do; nothing if it tells nothing, or passes on what another one does."""
    place = _PLACES.get((call.file, call.name))
    advice = call.argument("do") if place is None else call.node.args[place]
    return [text for text in texts(advice, call.file) if text != ANY]


def test_all_advice_begins_with_a_capital_and_is_a_sentence() -> None:
    found = [(str(call), advice) for call in calls() for advice in advice_of(call)]
    assert len(found) > 250
    assert [(where, advice) for where, advice in found if not is_sentence(advice)] == []


@pytest.mark.parametrize("advice", ["run it again", "Run it again.", "Run", "", f"{ANY} it"])
def test_what_is_no_sentence_is_noticed(advice: str) -> None:
    assert not is_sentence(advice)
