"""What is needed to test a DAG of one's own without Imperva: a repository over real HTTP, and a forge of logs."""

from __future__ import annotations

from airflow_provider_imperva.testing.forge import ForgedLog, KeyPair, forge_events, forge_log, forge_repository
from airflow_provider_imperva.testing.repository import FakeRepository, Fault, RequestRecord

__all__ = [
    "FakeRepository",
    "Fault",
    "ForgedLog",
    "KeyPair",
    "RequestRecord",
    "forge_events",
    "forge_log",
    "forge_repository",
]
