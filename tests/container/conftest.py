"""Keys for all container tests: making them is slow, so they are made once a process."""

import pytest

from airflow_provider_imperva.container import KeyRing
from airflow_provider_imperva.testing.forge import KeyPair


@pytest.fixture(scope="session")
def key_pair() -> KeyPair:
    return KeyPair.generate("1")


@pytest.fixture(scope="session")
def other_pair() -> KeyPair:
    return KeyPair.generate("2")


@pytest.fixture(scope="session")
def ring(key_pair: KeyPair, other_pair: KeyPair) -> KeyRing:
    return KeyRing({pair.public_key_id: pair.private_key for pair in (key_pair, other_pair)})
