"""``make demo``: fills a lake from a fake log repository with a real Airflow run, and shows what came of it.

Everything it makes is in ``.demo/``. Run it again, and the repository has gained logs under a new key: only those are
loaded. It ends with an error if the lake does not hold exactly the events that were forged.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
from deltalake import DeltaTable
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.lake.watermark import Prefix, State
from airflow_provider_imperva.testing import FakeRepository
from demo.setting import ROOT, Setting

SETTING = Setting(ROOT / ".demo")
LAKE, LOG = SETTING.lake, SETTING.folder / "airflow.log"
EVENTS = f"read_parquet('{LAKE}/events/repository=*/**/*.parquet', hive_partitioning = true)"
QUERY = f"""\
SELECT client_ip, client_country_code AS country, count(*) AS attacks,
       count(*) FILTER (outcome = 'blocked') AS blocked, mode(event_name) AS mostly
FROM {EVENTS}
WHERE event_class = 'security'
GROUP BY ALL
ORDER BY attacks DESC, client_ip
LIMIT 5"""

console = Console()


def main() -> int:
    """Run the demo; the exit code."""
    console.rule("[bold]airflow-provider-imperva: demo")
    with SETTING.repository() as repository:
        add_logs(repository)
        ledger = Ledger(open_store(str(LAKE)), repository.name)
        loaded = loaded_logs(ledger)
        environment = SETTING.environment(repository)
        with console.status("Making Airflow's database (SQLite)"):
            airflow(environment, "db", "migrate")
        run_dag(environment, repository, new_logs=len(repository.names()) - len(loaded))
        # A plan looks at the first bytes of some logs that are loaded, by 206, to see that they are still the same.
        whole = [request.path for request in repository.requests if request.status != 206]
        fetched = [path for path in whole if path.endswith(".log")]
    return show(list(ledger.commits()), fetched=fetched, loaded_before=loaded)


def add_logs(repository: FakeRepository) -> None:
    """Let the repository gain logs, encrypted for a new key."""
    key = SETTING.new_key()
    gain = SETTING.add_logs(repository, count=12 if repository.names() else 36, key=key, age_hours=4)
    console.print(
        f"The repository [bold]{repository.name}[/] has gained [bold]{gain.logs} logs[/] with {gain.lines:,} events, "
        f"encrypted for key {key.public_key_id} and compressed; it skipped the numbers {gain.skipped}."
    )


def loaded_logs(ledger: Ledger) -> set[str]:
    """Return the names of the logs that are in the lake already."""
    return {name for commit in ledger.commits() for name in ledger.logs(commit.commit)["name"].to_pylist() if name}


@contextmanager
def airflow_process(environment: Mapping[str, str], *command: str) -> Iterator[subprocess.Popen[str]]:
    """Run an ``airflow`` command; its output goes to ``.demo/airflow.log``."""
    with LOG.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", *command], env=environment, stdout=log, stderr=log, text=True
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def airflow(environment: Mapping[str, str], *command: str) -> None:
    """Run an ``airflow`` command to its end."""
    with airflow_process(environment, *command) as process:
        check(process.wait(), command)


def run_dag(environment: Mapping[str, str], repository: FakeRepository, *, new_logs: int) -> None:
    """Run the DAG once, and show how far it is."""
    command = ("dags", "test", "imperva_logs_to_parquet")
    console.print("Running [bold]airflow dags test imperva_logs_to_parquet[/] (its output is in .demo/airflow.log)")
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
    )
    with Progress(*columns, console=console) as progress, airflow_process(environment, *command) as process:
        logs = progress.add_task("Airflow starts", total=new_logs)
        while process.poll() is None:
            fetched = sum(request.path.endswith(".log") for request in repository.requests)
            progress.update(logs, completed=fetched, description=current_task())
            time.sleep(0.2)
        check(process.returncode, command)
        progress.update(logs, completed=new_logs, description="Done: logs fetched")


def current_task() -> str:
    """Read from Airflow's output which task is running."""
    lines = LOG.read_text(errors="replace").splitlines()
    tasks = [line.partition("starting task_id=")[2].split()[0] for line in lines if "starting task_id=" in line]
    return f"Airflow runs [bold]{tasks[-1]}[/]" if tasks else "Airflow starts"


def check(code: int, command: tuple[str, ...]) -> None:
    """End the demo if a command failed."""
    if code:
        console.print(LOG.read_text(errors="replace")[-5000:], markup=False)
        console.print(f"[bold red]airflow {' '.join(command)} failed[/]; all of its output is in .demo/airflow.log")
        sys.exit(1)


def show(commits: list[Commit], *, fetched: list[str], loaded_before: set[str]) -> int:
    """Show what is in the lake, and hold it against what was forged; the exit code."""
    last = commits[-1]
    [(rows, files)] = duckdb.execute(f"SELECT count(*), count(DISTINCT src_file) FROM {EVENTS}").fetchall()

    table = Table(title="This run and the lake", title_justify="left")
    table.add_column("")
    table.add_column("this run", justify="right")
    table.add_column("lake", justify="right")
    table.add_row("logs fetched", f"{len(fetched):,}", "")
    table.add_row("logs loaded", f"{last.totals.logs.get(State.COMMITTED, 0):,}", f"{files:,}")
    table.add_row("lines found", f"{last.totals.lines:,}", f"{sum(commit.totals.lines for commit in commits):,}")
    table.add_row("rows written", f"{last.totals.rows:,}", f"{rows:,}")
    quarantined = sum(commit.totals.quarantined_lines for commit in commits)
    table.add_row("lines in quarantine", f"{last.totals.quarantined_lines:,}", f"{quarantined:,}")
    console.print(table)

    by_partition = f"SELECT event_class, event_date, count(*) AS events FROM {EVENTS} GROUP BY ALL ORDER BY ALL"
    print_query("Events by class and date", by_partition)
    for name, prefix in last.prefixes.items():
        show_watermark(name, prefix)
    console.print(f"[bold]Lake[/]: {LAKE}\n\n[bold]Try[/] this in DuckDB, or any other engine that reads Parquet:\n")
    console.print(QUERY, style="cyan", highlight=False, markup=False, soft_wrap=True)
    print_query("Who attacks most", QUERY)
    shown = show_table()

    forged = SETTING.forged()
    fetched_again = loaded_before.intersection(path.rpartition("/")[2] for path in fetched)
    if not rows == shown == forged.lines or fetched_again:
        console.print(
            f"[bold red]Wrong[/]: of {forged.lines:,} forged events the lake has {rows:,}, the table {shown:,}; "
            f"{len(fetched_again)} logs were fetched again"
        )
        return 1
    console.print(
        f"[bold green]Complete[/]: the lake holds each of the {forged.lines:,} forged events once. The repository "
        f"lists {forged.logs} logs; only the {len(fetched)} new ones were fetched.\n"
        "Run [bold]make demo[/] again: the repository gains logs, and only those are loaded.\n"
        "Who attacked, with which rules, and what got through: "
        "[bold].venv/bin/imperva-logs report .demo/lake --html report.html[/]"
    )
    return 0


def show_table() -> int:
    """Ask the lake's Delta table, in which each commit is whole or not at all; how many events it shows."""
    table = DeltaTable(LAKE / "events")
    # By DuckDB itself: with `to_pyarrow_dataset`, threads call Python, which may abort a Python 3.11 as it ends.
    events = duckdb.read_parquet(table.file_uris(), hive_partitioning=True)
    console.print(
        f"[bold]The table[/] {LAKE / 'events'} (Delta, version {table.version()}) shows committed events only, to"
        " Spark, Trino, Snowflake, Databricks, DuckDB and polars:\n"
    )
    per_day = (
        "SELECT event_date, count(*) AS events, count(DISTINCT client_ip) AS clients FROM events GROUP BY 1 ORDER BY 1"
    )
    console.print(per_day, style="cyan", highlight=False, markup=False, soft_wrap=True)
    print_query("Clients by day, through the table", per_day, events=events)
    [(shown,)] = events.count("*").fetchall()
    return int(shown)


def show_watermark(name: str, prefix: Prefix) -> None:
    """Say how far a prefix is loaded, and what is missing in its sequence."""
    gaps = [f"{item.first}-{item.last}" if item.first < item.last else str(item.first) for item in prefix.open]
    console.print(
        f"[bold]Watermark[/] of prefix {name}: every number up to [bold]{prefix.contiguous}[/] is decided, "
        f"[bold]{prefix.highest}[/] is the highest seen."
    )
    if gaps:
        console.print(
            f"[bold]Gaps[/]: {', '.join(gaps)}. Imperva may still list them; after 48 hours they are skipped."
        )


def print_query(title: str, query: str, *, events: duckdb.DuckDBPyRelation | None = None) -> None:
    """Show the result of a query as a table.

    :param events: what the query calls ``events``.
    """
    result = events.query("events", query) if events else duckdb.sql(query)
    assert result  # noqa: S101, a query has a result
    table = Table(*result.columns, title=title, title_justify="left")
    for row in result.fetchall():
        table.add_row(*map(str, row))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
