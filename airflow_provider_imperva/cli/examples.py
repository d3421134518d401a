"""``imperva-logs examples``: DAG files, queries and a dashboard to begin with."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from airflow_provider_imperva.cli.terminal import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "examples", help="write example DAGs, SQL and a Grafana dashboard into a folder", description=_examples.__doc__
    )
    command.add_argument("--to", required=True, type=Path, metavar="DIR", help="the folder; it is made if missing")
    command.set_defaults(run=_examples)


def _examples(options: argparse.Namespace) -> int:
    """Write examples into a folder: DAGs (dags/), queries and tables (sql/), Python (python/), a dashboard (grafana/).

    A file that is there already stays as it is, and is named if it differs; the exit code is then 1.
    """
    root: Path = options.to
    written, differing = 0, 0
    for name, example in examples():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = example.read_bytes()
        try:
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            if path.read_bytes() != content:
                differing += 1
                print(f"{path} is there already and differs: left as it is. Move it away to get the example.")
        else:
            written += 1
            print(path)
    print(f"{written} files written to {root}. dags/ goes into Airflow's DAGs folder; each file says what it needs.")
    return 1 if differing else 0


def examples(
    folder: Traversable | None = None, name: PurePosixPath | None = None
) -> Iterator[tuple[PurePosixPath, Traversable]]:
    """Yield every example with its path below the folder of all."""
    folder = folder or files("airflow_provider_imperva").joinpath("examples")
    name = name or PurePosixPath()
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_file():
            yield name / item.name, item
        elif item.name != "__pycache__":
            yield from examples(item, name / item.name)
