"""Finds the files of a lake that hold committed events of a period, for readers that do without the lake's table."""

from __future__ import annotations

import json
import re

import fsspec

_DAY = re.compile(r"events/.+/event_date=([^/]+)/")


def committed_parts(lake: str, first: str, last: str) -> list[str]:
    """Return the paths of the Parquet files, in order.

    The ledger says which they are: the parts that its commits added, less those that they removed. All commits are
    read, but no Parquet file.

    :param lake: root of the lake: a folder, or a URL of anything that fsspec speaks.
    :param first: first day of the period (UTC), as ``2026-06-01``.
    :param last: last day of the period, which is part of it.
    """
    files, root = fsspec.core.url_to_fs(lake)
    contents = files.cat(files.glob(f"{root}/ledger/repository=*/*/*.commit.json"))
    commits = [json.loads(content) for content in contents.values()]
    added = {part["path"] for commit in commits for part in commit["parts"]}
    removed = {part["path"] for commit in commits for part in commit.get("removed", [])}
    days = {path: day[1] for path in sorted(added - removed) if (day := _DAY.match(path))}
    return [f"{lake}/{path}" for path, day in days.items() if first <= day <= last]
