"""Lineage: what a task read and wrote, as OpenLineage's datasets, named by its naming rules.

An object store's bucket is the namespace and the folder the name (``s3://bucket``, ``lake/events``); on a disk it is
``file`` and the path. A repository is ``imperva://<host>`` and its name there. The names of a lake's events are those
that OpenLineage gives the asset of the lake too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_imperva.uri import LakeUri

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import (
        OutputStatisticsOutputDatasetFacet,
        SchemaDatasetFacet,
    )
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_imperva.lake.records import Part


@dataclass(frozen=True, slots=True)
class Dataset:
    """Where bytes come from or go to.

    :ivar has_events: whether its columns are those of ``events/``.
    :ivar rows, size, files: what was written to it; size in bytes. None if that is not known.
    """

    namespace: str
    name: str
    has_events: bool = False
    rows: int | None = None
    size: int | None = None
    files: int | None = None

    @classmethod
    def at(cls, uri: str) -> Dataset:
        """Return the dataset that a folder is."""
        parts = urlsplit(uri)
        if parts.scheme in ("", "file"):
            return cls("file", parts.path)
        return cls(f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or "/")


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a task read and wrote."""

    inputs: tuple[Dataset, ...]
    outputs: tuple[Dataset, ...]

    @classmethod
    def of_fetch(cls, url: str, lake_uri: str, *, repository: str, received: int) -> Lineage:
        """Return the lineage of bytes to ``raw/``.

        :param url: of the repository, or of the folder that it delivers to.
        :param received: how many bytes came.
        """
        return cls((_origin(url),), (replace(_raw(lake_uri, repository), size=received),))

    @classmethod
    def of_parts(cls, lake_uri: str, parts: Iterable[Part], *, repository: str) -> Lineage:
        """Return the lineage of rows from ``raw/`` to ``events/`` and, if there are any, to ``quarantine/``."""
        parts = list(parts)
        events = [part for part in parts if part.event_class is not None]
        quarantined = [part for part in parts if part.event_class is None]
        root = LakeUri.parse(lake_uri)
        outputs = [_written(replace(Dataset.at(f"{root}/events"), has_events=True), events)]
        if quarantined:
            outputs.append(_written(Dataset.at(f"{root}/quarantine"), quarantined))
        return cls((_raw(lake_uri, repository),), tuple(outputs))

    def facets(self) -> OperatorLineage[Any, Any]:
        """Return it as OpenLineage's provider takes it, which has to be installed."""
        from airflow.providers.common.compat.openlineage.facet import InputDataset, OutputDataset
        from airflow.providers.openlineage.extractors import OperatorLineage

        return OperatorLineage(
            inputs=[InputDataset(namespace=dataset.namespace, name=dataset.name) for dataset in self.inputs],
            outputs=[
                OutputDataset(
                    namespace=dataset.namespace,
                    name=dataset.name,
                    facets={"schema": _schema()} if dataset.has_events else {},
                    outputFacets={"outputStatistics": _statistics(dataset)},
                )
                for dataset in self.outputs
            ],
        )


def _origin(url: str) -> Dataset:
    """Return the dataset that a repository is, or the folder that logs are delivered to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return Dataset.at(url.rstrip("/"))
    return Dataset(f"imperva://{parts.netloc}", parts.path.strip("/"))


def _raw(lake_uri: str, repository: str) -> Dataset:
    return Dataset.at(f"{LakeUri.parse(lake_uri)}/raw/repository={repository}")


def _written(to: Dataset, parts: list[Part]) -> Dataset:
    size, rows = sum(part.size for part in parts), sum(part.rows for part in parts)
    return replace(to, rows=rows, size=size, files=len(parts))


def _statistics(written: Dataset) -> OutputStatisticsOutputDatasetFacet:
    from airflow.providers.common.compat.openlineage.facet import OutputStatisticsOutputDatasetFacet

    return OutputStatisticsOutputDatasetFacet(rowCount=written.rows, size=written.size, fileCount=written.files)


def _schema() -> SchemaDatasetFacet:
    """Return the columns of ``events/``, partitions last, with the names that query engines have for their types."""
    from airflow.providers.common.compat.openlineage.facet import SchemaDatasetFacet, SchemaDatasetFacetFields

    from airflow_provider_imperva.events.schema.columns import COLUMNS
    from airflow_provider_imperva.events.schema.hive import table_columns

    meanings = {column.name: column.meaning for column in COLUMNS}
    return SchemaDatasetFacet(
        fields=[
            SchemaDatasetFacetFields(name=name, type=type_name, description=meanings.get(name))
            for name, type_name in table_columns()
        ]
    )
