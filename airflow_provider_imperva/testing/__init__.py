"""What is needed to test a DAG of one's own without Imperva: a repository over real HTTP, and a forge of logs."""

from __future__ import annotations

from airflow_provider_imperva.testing.clock import VirtualClock
from airflow_provider_imperva.testing.faults import Fault, FaultRule, FaultScript
from airflow_provider_imperva.testing.forge import ForgedLog, KeyPair, forge_events, forge_log, forge_repository
from airflow_provider_imperva.testing.formats import write_body
from airflow_provider_imperva.testing.repository import FakeRepository, RequestRecord
from airflow_provider_imperva.testing.siem import (
    BulkReceiver,
    GelfReceiver,
    HecReceiver,
    SiemAnswer,
    SiemRequest,
    SumoReceiver,
)
from airflow_provider_imperva.testing.syslog import GelfTcpReceiver, SyslogReceiver

__all__ = [
    "BulkReceiver",
    "FakeRepository",
    "Fault",
    "FaultRule",
    "FaultScript",
    "ForgedLog",
    "GelfReceiver",
    "GelfTcpReceiver",
    "HecReceiver",
    "KeyPair",
    "RequestRecord",
    "SiemAnswer",
    "SiemRequest",
    "SumoReceiver",
    "SyslogReceiver",
    "VirtualClock",
    "forge_events",
    "forge_log",
    "forge_repository",
    "write_body",
]
