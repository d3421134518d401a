"""A DAG with each operator, which the pages of the operators quote. A test makes it."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_imperva.operators.compact import ImpervaCompactLakeOperator
from airflow_provider_imperva.operators.coverage import ImpervaCoverageOperator
from airflow_provider_imperva.operators.forward import ImpervaForwardLogsOperator
from airflow_provider_imperva.operators.imperva import (
    ImpervaCommitLogsOperator,
    ImpervaFetchLogsOperator,
    ImpervaNormalizeLogsOperator,
    ImpervaPlanLogsOperator,
)
from airflow_provider_imperva.operators.load import ImpervaAccountsOperator, ImpervaLoadLogsOperator
from airflow_provider_imperva.operators.ocsf import ImpervaExportOcsfOperator
from airflow_provider_imperva.operators.replay import ImpervaReplayLogsOperator
from airflow_provider_imperva.operators.retention import ImpervaEraseOperator, ImpervaExpireLakeOperator
from airflow_provider_imperva.operators.verify import ImpervaVerifyLakeOperator
from airflow_provider_imperva.operators.watch import ImpervaWatchOperator
from airflow_provider_imperva.sensors.imperva import ImpervaLogSensor

LAKE = {"lake_uri": "s3://bucket/lake", "lake_conn_id": "aws_default"}
ACCOUNT = {**LAKE, "imperva_conn_id": "imperva_shop"}

with DAG("imperva_operators", schedule=None, max_active_runs=1):
    # --8<-- [start:wait]
    wait = ImpervaLogSensor(task_id="wait_for_logs", **ACCOUNT, deferrable=True, timeout=540, poke_interval=60)
    # --8<-- [end:wait]

    # --8<-- [start:load-in-steps]
    plan = ImpervaPlanLogsOperator(task_id="plan", **ACCOUNT)
    fetch = ImpervaFetchLogsOperator.partial(task_id="fetch", **ACCOUNT).expand(batch=plan.output)
    normalize = ImpervaNormalizeLogsOperator.partial(task_id="normalize", **ACCOUNT).expand(fetched=fetch.output)
    commit = ImpervaCommitLogsOperator(task_id="commit", **ACCOUNT, trigger_rule="all_done_min_one_success")
    wait >> plan >> commit
    normalize >> commit
    # --8<-- [end:load-in-steps]

    # --8<-- [start:load]
    ImpervaLoadLogsOperator(task_id="load", **ACCOUNT)
    # --8<-- [end:load]

    # --8<-- [start:accounts]
    accounts = ImpervaAccountsOperator(task_id="accounts", **LAKE, accounts=["imperva_shop", "imperva_bank"])
    ImpervaLoadLogsOperator.partial(task_id="load_each", **LAKE).expand_kwargs(accounts.output)
    # --8<-- [end:accounts]

    # --8<-- [start:replay]
    ImpervaReplayLogsOperator(task_id="replay", **ACCOUNT, state="quarantined", since="2026-11-01")
    # --8<-- [end:replay]

    # --8<-- [start:verify]
    ImpervaVerifyLakeOperator(task_id="verify", **ACCOUNT, sample=1000, load_dag_id="imperva_shop")
    # --8<-- [end:verify]

    # --8<-- [start:coverage]
    ImpervaCoverageOperator(task_id="coverage", **ACCOUNT, days=30)
    # --8<-- [end:coverage]

    # --8<-- [start:watch]
    ImpervaWatchOperator(task_id="watch", **ACCOUNT, silent_for=timedelta(hours=16))
    # --8<-- [end:watch]

    # --8<-- [start:compact]
    ImpervaCompactLakeOperator(task_id="compact", **ACCOUNT, run_for=timedelta(minutes=40))
    # --8<-- [end:compact]

    # --8<-- [start:forward]
    ImpervaForwardLogsOperator(task_id="forward", **ACCOUNT, destination="syslog", destination_conn_id="siem")
    # --8<-- [end:forward]

    # --8<-- [start:ocsf]
    ImpervaExportOcsfOperator(task_id="ocsf", **ACCOUNT, target_uri="s3://security-lake/ext/imperva")
    # --8<-- [end:ocsf]

    # --8<-- [start:expire]
    ImpervaExpireLakeOperator(
        task_id="expire", **ACCOUNT, policy={"events": {"access": 90, "security": 400}, "raw": 30}
    )
    # --8<-- [end:expire]

    # --8<-- [start:erase]
    ImpervaEraseOperator(
        task_id="erase",
        **ACCOUNT,
        subject_variable="person_to_erase",
        by="Anne",
        why="request of the person",
        reference="DPO-17",
        preview=True,
    )
    # --8<-- [end:erase]
