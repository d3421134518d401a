"""Checkpoints of a Delta table's log: they shorten reading, and the log says the same without them.

The table's library does not wait until they are on the disk. So a machine that loses power can keep half a checkpoint,
or a ``_last_checkpoint`` that names one which is not there; and no reader opens the table then.
"""

from __future__ import annotations

import json
import logging
import re

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.lake.layout import DELTA_LOG
from airflow_provider_imperva.lake.store import Store

logger = logging.getLogger(__name__)

_HINT = "_last_checkpoint"
_VERSION = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")


def drop_damaged(store: Store) -> bool:
    """Delete checkpoints that do not read, and what names them, if the versions that they stand for are all there.

    :returns: whether anything was deleted.
    :raises OSError, LakeError: if the store does not answer; then nothing was.
    """
    paths = {item.path.rsplit("/", 1)[-1]: item.path for item in store.objects(DELTA_LOG)}
    versions = {int(match[1]) for match in map(_VERSION.fullmatch, paths) if match}
    checkpoints = {int(match[1]): paths[match[0]] for match in map(_CHECKPOINT.fullmatch, paths) if match}
    damaged, sound = [], -1
    for number in sorted(checkpoints, reverse=True):
        if _reads(store, checkpoints[number]):
            sound = number
            break
        damaged.append(number)
    named = _named(store, paths[_HINT]) if _HINT in paths else None
    doomed = [checkpoints[number] for number in damaged]
    if named is not None and (named in damaged or named not in checkpoints):
        # First: a reader that finds none looks for the checkpoints itself.
        doomed.insert(0, paths[_HINT])
    needed = range(sound + 1, 1 + max([sound, *versions, *damaged]))
    if not doomed or not versions.issuperset(needed):
        return False
    store.delete(doomed)
    logger.warning("%d damaged checkpoints of %s are deleted: its versions say the same", len(damaged), DELTA_LOG)
    return True


def _reads(store: Store, path: str) -> bool:
    content = store.read(path)
    try:
        pq.ParquetFile(pa.BufferReader(content)).read()
    except (pa.ArrowException, OSError):
        return False
    return True


def _named(store: Store, path: str) -> int | None:
    """Return the checkpoint that ``_last_checkpoint`` names; None if it does not read, which readers ignore."""
    try:
        return int(json.loads(store.read(path))["version"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
