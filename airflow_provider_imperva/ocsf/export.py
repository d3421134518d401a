"""Exporting commits: each batch's rows as OCSF files, then the record that says so.

A file's name follows from commit, batch and class alone, and its bytes from the rows: so whatever a run is killed at,
the next one writes the same files again. What a replay loads again is exported with the replay's commit, and the files
of the batch that it took the place of are deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva import __version__
from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.lake.exports import Exported, ExportedFile, Exports, ExportSettings
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.parts import HashingFile
from airflow_provider_imperva.lake.records import BatchId, Commit, Kind, Run
from airflow_provider_imperva.lake.spill import Rows
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.ocsf.detection_finding import detection_finding
from airflow_provider_imperva.ocsf.events import Events
from airflow_provider_imperva.ocsf.http_activity import http_activity
from airflow_provider_imperva.ocsf.options import SECURITY_LAKE, OcsfOptions
from airflow_provider_imperva.ocsf.rows import GROUP_ROWS, LakeState, Source, in_order, report_of, sources

_BRING_ROWS = frozenset({Kind.LOAD, Kind.REPLAY})
_PAGE_BYTES = 1 << 20
_HARDLY_RECUR = frozenset(
    {
        *("time", "start_time", "end_time", "metadata.uid", "metadata.sequence", "metadata.original_event_uid"),
        *("http_request.http_headers.list.element.value", "http_request.uid", "finding_info.uid"),
        *("src_endpoint.port", "http_response.length", "traffic.bytes_out"),
    }
)
"""Values of which a dictionary would only make a file larger."""

_FREE_TEXT = ("http_request.", "http_response.http_headers.", "firewall_rule.match_details.", "raw_data", "unmapped.")
"""What clients write, and text about it: no question is answered by the least and the greatest of such values."""


class _Class(NamedTuple):
    """An OCSF class, and the lake's classes that become it."""

    folder: str
    members: Sequence[str]
    made: Callable[[Events], pa.Table]


_CLASSES = (
    _Class("http_activity", ("access", "security", "other"), http_activity),
    _Class("detection_finding", ("attack_analytics",), detection_finding),
)


@dataclass(frozen=True, slots=True)
class OcsfExport:
    """The export of one repository to one place.

    :param target: where the files go; may be the lake's own store or another.
    :param name: of the export in the lake.
    :param run: who exports.
    """

    ledger: Ledger
    target: Store
    options: OcsfOptions
    run: Run
    name: str = "ocsf"

    @property
    def exports(self) -> Exports:
        """What was exported."""
        return Exports(self.ledger.store, self.ledger.layout.repository, self.name)

    def begin(self) -> None:
        """Note the settings, or hold them against what is noted.

        :raises ConfigurationError: if something else was exported under this name, or the target is in the lake.
        """
        lake, target = (store.uri().rstrip("/") for store in (self.ledger.store, self.target))
        if f"{target}/".startswith(f"{lake}/"):
            raise ConfigurationError(
                "the target of the export is in the lake, whose readers would take its files for events",
                do=f"Export to a place beside it, such as {lake}-ocsf",
                about=target,
            )
        options = {name: str(getattr(self.options, name)) for name in ("layout", "version", "region", "account")}
        options |= {name: getattr(self.options, name) for name in ("source", "findings_source")}
        options["severities"] = str(sorted(self.options.severities.items()))
        self.exports.settle(
            ExportSettings(
                name=self.name,
                repository=self.ledger.layout.repository,
                target=self.target.uri(),
                options=options,
            )
        )

    def pending(self) -> list[int]:
        """Return the commits still to be exported, oldest first."""
        return self.exports.pending(self.ledger.head(with_plan=False).next_commit - 1)

    def export(self, commits: Sequence[int], *, again: bool = False) -> Iterator[Exported]:
        """Export commits, and yield what became of each once it is recorded.

        :param commits: their numbers, ascending.
        :param again: whether they are exported though they were before.
        :raises LakeError: if a part is missing or not as its commit says, or rows are missing; nothing is recorded of
            that commit then.
        """
        if not commits:
            return
        lake_state = LakeState(self.ledger, since=min(commits))
        for number in commits:
            before = self.exports.read(number) if again else None
            outcome = self._export(self.ledger.commit(number), lake_state)
            if before:
                # Such as of rows that were erased since, of which no file came now.
                self.target.delete({file.path for file in before.files} - {file.path for file in outcome.files})
            yield self.exports.record(outcome, again=again)

    def _export(self, commit: Commit, lake_state: LakeState) -> Exported:
        outcome = Exported(
            name=self.name,
            repository=commit.repository,
            commit=commit.commit,
            commit_sha256=self.ledger.sha256(commit.commit),
            committed_at=commit.committed_at,
            run=self.run,
            provider_version=__version__,
        )
        if commit.kind not in _BRING_ROWS:
            return outcome
        for batch in commit.batches:
            outcome = self._export_batch(commit, batch, lake_state, outcome)
        if outcome.ledger_rows != commit.totals.rows:
            raise self._unequal(commit, outcome.ledger_rows, expected=commit.totals.rows)
        deleted = self._superseded_files(commit, kept={file.path for file in outcome.files})
        self.target.delete(deleted)
        return msgspec.structs.replace(outcome, deleted=tuple(deleted))

    def _export_batch(self, commit: Commit, batch: int, lake_state: LakeState, outcome: Exported) -> Exported:
        report = report_of(self.ledger, commit, batch)
        expected = sum(log.rows for log in report.logs)
        outcome = msgspec.structs.replace(outcome, ledger_rows=outcome.ledger_rows + expected)
        if lake_state.is_superseded(BatchId(commit.commit, batch)):
            return msgspec.structs.replace(outcome, superseded=outcome.superseded + expected)
        members = [known.members for known in _CLASSES]
        files = [
            file
            for number, source in sources(lake_state, report, members)
            if (file := self._write(commit, batch, _CLASSES[number], source))
        ]
        rows = sum(file.rows for file in files)
        missing = expected - rows
        if missing < 0 or (missing and not lake_state.may_lack_rows(commit.commit)):
            raise self._unequal(commit, rows, expected=expected, batch=batch)
        return msgspec.structs.replace(
            outcome, rows=outcome.rows + rows, removed=outcome.removed + missing, files=(*outcome.files, *files)
        )

    def _unequal(self, commit: Commit, rows: int, *, expected: int, batch: int | None = None) -> LakeError:
        whose = "its batches" if batch is None else f"batch {batch}"
        return LakeError(
            f"the export found {rows} rows of {whose}, where the ledger says {expected}",
            do="Nothing is recorded of this commit. Run imperva-logs verify, then export again",
            about=self.ledger.store.uri(self.ledger.layout.commit(commit.commit)),
        )

    def _write(self, commit: Commit, batch: int, known: _Class, source: Source) -> ExportedFile | None:
        with closing(Rows()) as rows:
            count = source.read(rows)
            if not count:
                return None
            path = self._path(commit.commit, batch, known, source.event_date)
            with self.target.writer(path) as file:
                hashing = HashingFile(file)
                writer: pq.ParquetWriter | None = None
                for table in in_order(rows, source.event_date):
                    made = known.made(
                        Events(
                            table,
                            commit.repository,
                            source.event_date,
                            int(commit.committed_at.timestamp() * 1000),
                            self.options,
                        )
                    )
                    writer = writer or _writer(hashing, made.schema)
                    writer.write_table(made, row_group_size=made.num_rows)
                if writer:
                    writer.close()
            return ExportedFile(
                path=path, batch=batch, rows=count, size=hashing.size, sha256=hashing.sha256.hexdigest()
            )

    def _path(self, commit: int, batch: int, known: _Class, day: date) -> str:
        repository = self.ledger.layout.repository
        name = f"part-{commit:012d}-{batch:04d}.parquet"
        if self.options.layout != SECURITY_LAKE:
            return f"{known.folder}/repository={repository}/event_date={day.isoformat()}/{name}"
        source = self.options.source if known is _CLASSES[0] else self.options.findings_source
        partition = f"region={self.options.region}/accountId={self.options.account}/eventDay={day:%Y%m%d}"
        return f"ext/{source}/{partition}/{repository}-{name}"

    def _superseded_files(self, commit: Commit, *, kept: set[str]) -> list[str]:
        """Return the files of the batches that a commit loaded again."""
        paths: list[str] = []
        for batch_id in sorted(set(commit.replaced.values())):
            if outcome := self.exports.read(batch_id.commit):
                paths += [file.path for file in outcome.files if file.batch == batch_id.batch and file.path not in kept]
        return paths


def _writer(file: HashingFile, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a file to write: zstd, sorted by time, pages of at most 1 MB."""
    paths = _paths(schema)
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        data_page_size=_PAGE_BYTES,
        use_dictionary=[path for path in paths if path not in _HARDLY_RECUR],
        write_statistics=[path for path in paths if not path.startswith(_FREE_TEXT)],
        write_batch_size=GROUP_ROWS,
        store_schema=False,
        sorting_columns=[pq.SortingColumn(paths.index("time"))],
    )


@cache
def _paths(schema: pa.Schema) -> list[str]:
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    return [column.path for column in pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema]
