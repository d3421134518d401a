"""Fetching without a plan: while the ledger is damaged logs still leave the window, so their bytes go to ``raw/``."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from airflow_provider_imperva.errors import ObjectExistsError, RepositoryError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.load.origin import LogOrigin
from airflow_provider_imperva.repository.names import LogName

logger = logging.getLogger(__name__)


def rescue(ledger: Ledger, client: LogOrigin, *, max_concurrency: int) -> int:
    """Fetch every log that the index lists and ``raw/`` does not have, by the index alone, the lowest numbers first.

    The first plan after the ledger is mended finds the bytes there.

    :returns: how many logs came.
    :raises RepositoryError: if the index cannot be read.
    """
    ledger.raw.keys.check()
    names = client.read_index().names
    folders = {ledger.layout.raw_folder(name) for name in names}
    present = {item.path for folder in folders for item in ledger.store.objects(folder)}
    missing = [name for name in names if ledger.layout.raw(name) not in present]

    def fetch_one(name: LogName) -> bool:
        try:
            content = client.read_log(name)
        except RepositoryError as error:
            logger.warning("%s", error)
            return False
        with suppress(ObjectExistsError):
            ledger.raw.create(ledger.layout.raw(name), content)
        return True

    with ThreadPoolExecutor(max_workers=max_concurrency) as pool:
        return sum(pool.map(fetch_one, missing))
