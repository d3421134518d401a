"""What our Iceberg table is like: its columns, partitions and properties, and in what one differs from it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa

from airflow_provider_imperva.events.schema.field_ids import PARTITION_IDS, with_field_ids
from airflow_provider_imperva.lake.layout import ICEBERG
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.table.changes import (
    COMMIT,
    CREATED,
    OF_TABLE,
    PARTITION_BY,
    REPOSITORY,
    ROOT,
    is_ours,
    table_schema,
)

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

LOCATION_PROPERTY = "imperva.location"
"""Property of a catalog, as in the extra of its connection: ``catalog`` if it chooses itself where a table is. Else it
is where the lake is. The parts are in the lake in any case."""

_LAKE = "imperva.lake"
"""Property of the table: which lake it is of."""

PUBLISHED = "imperva.published."
"""What the property that says which commit of a repository the table shows begins with."""

_RETRIES = "commit.retry.num-retries"
_PROPERTIES = {
    **OF_TABLE,
    # A retry of the library's own would add the files of a commit that somebody else has published meanwhile.
    _RETRIES: "0",
    # No other program is to delete files: they are the ledger's.
    "gc.enabled": "false",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
}


def schema() -> Schema:
    """Return the table's columns with their numbers, those of the path first."""
    return _numbered(table_schema())


@cache
def _numbered(columns: pa.Schema) -> Schema:
    from pyiceberg.io.pyarrow import pyarrow_to_schema

    in_order = [*PARTITION_BY, *(name for name in columns.names if name not in PARTITION_BY)]
    return pyarrow_to_schema(with_field_ids(pa.schema([columns.field(name) for name in in_order])))


def location(store: Store) -> str:
    """Return the address of the table's files: that of the lake, as a text that no program decodes."""
    url = store.address(ROOT).url
    return unquote(url) if url.startswith("file:") else url


def create_in(catalog: Catalog, name: str, *, store: Store) -> None:
    """Make the table of a lake in a catalog, unless it has one of that name, with the columns of the path alone."""
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import IdentityTransform

    # A catalog numbers the columns of a new table by itself: from 1, as those of the path are. The others follow with
    # the numbers that they have in the parts.
    ids = PARTITION_IDS.values()
    partitions = [
        PartitionField(source_id=number, field_id=999 + number, transform=IdentityTransform(), name=name)
        for name, number in PARTITION_IDS.items()
    ]
    place = location(store)
    beside = {"write.metadata.path": f"{place}/{ICEBERG.rpartition('/')[2]}"}
    chooses = catalog.properties.get(LOCATION_PROPERTY) == "catalog"
    catalog.create_namespace_if_not_exists(name.rpartition(".")[0])
    catalog.create_table_if_not_exists(
        name,
        Schema(*(field for field in schema().fields if field.field_id in ids)),
        location=None if chooses else place,
        partition_spec=PartitionSpec(*partitions),
        properties=_PROPERTIES | {_LAKE: place} | ({} if chooses else beside),
    )


def find_wrong(table: Table, place: str) -> str | None:
    """Say in what a table is not as we left it."""
    from pyiceberg.table.metadata import TableMetadataV2

    metadata = table.metadata
    if not isinstance(metadata, TableMetadataV2):
        return f"the table has format version {metadata.format_version}, not 2"
    if CREATED not in table.properties or table.properties.get(_LAKE) != place:
        return f"this is not the table of the lake at {place}"
    if table.properties.get(_RETRIES) != "0" or not _is_partitioned_as_ours(table):
        return "the partitions or properties of the table were changed by another program"
    ours, theirs = ({field.name: field.field_id for field in some.fields} for some in (schema(), table.schema()))
    numbers = {number: name for name, number in ours.items()}
    if any(ours.get(name, number) != number or numbers.get(number, name) != name for name, number in theirs.items()):
        return "the columns of the table were changed by another program"
    last = metadata.current_snapshot()
    if (last.sequence_number if last else 0) != metadata.last_sequence_number:
        return "the table was set back to an earlier snapshot"
    info = (last.summary.additional_properties if last.summary else {}) if last else OF_TABLE
    if not is_ours(info):
        return f"snapshot {last.snapshot_id if last else ''} of the table was written by another program"
    if COMMIT in info and published(table, info[REPOSITORY]) != int(info[COMMIT]):
        return "the properties of the table do not fit its last snapshot"
    return None


def _is_partitioned_as_ours(table: Table) -> bool:
    from pyiceberg.transforms import IdentityTransform

    fields = [(field.name, field.source_id, field.transform) for field in table.spec().fields]
    return fields == [(name, number, IdentityTransform()) for name, number in PARTITION_IDS.items()]


def published(table: Table, repository: str) -> int | None:
    """Return the commit of a repository that a table shows; None if it shows none."""
    number = table.properties.get(PUBLISHED + repository)
    return None if number is None else int(number)
