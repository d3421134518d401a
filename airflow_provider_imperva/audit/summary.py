"""A repository's coverage in a few figures, as an object in the lake: what the overview and Airflow's tab show."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from airflow_provider_imperva.audit.assessment import Assessment, Note, assess, make_notes, note_silence
from airflow_provider_imperva.audit.coverage import Coverage
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.store import Store

VERSION = 1


class Summary(msgspec.Struct, frozen=True):
    """What is said of a repository at a glance.

    :ivar made_at: when it was made; ``observed_at`` when the repository was last looked at, UTC.
    :ivar complete: how far it is complete, in words.
    :ivar notes: what was not as it should be then.
    :ivar headroom_hours: left at the last commit; None without a commit.
    :ivar lag_median, lag_p99: seconds from an event until its log was listed; None without events.
    """

    v: int
    repository: str
    made_at: datetime
    observed_at: datetime | None
    window: timedelta
    commit: int | None
    complete: str
    notes: tuple[Note, ...]
    states: dict[str, int]
    logs: int
    rows: int
    headroom_hours: float | None
    lag_median: float | None
    lag_p99: float | None

    @classmethod
    def of(cls, coverage: Coverage) -> Summary:
        """Sum a repository's coverage up."""
        return cls(
            v=VERSION,
            repository=coverage.repository,
            made_at=coverage.made_at,
            observed_at=coverage.observed_at,
            window=coverage.window,
            commit=coverage.head,
            complete=_complete(coverage),
            notes=tuple(make_notes(coverage)),
            states=coverage.states,
            logs=coverage.logs,
            rows=coverage.rows,
            headroom_hours=coverage.headroom[-1].hours if coverage.headroom else None,
            lag_median=coverage.lag.listed_p50 if coverage.lag else None,
            lag_p99=coverage.lag.listed_p99 if coverage.lag else None,
        )

    def assess(self, *, at: datetime, observed_at: datetime | None = None) -> Assessment:
        """Describe how the repository is doing now.

        :param at: now, UTC: a lake that nobody has looked at since is red, whatever it was then.
        :param observed_at: when it was last looked at, where that is known better.
        """
        last = max(filter(None, (self.observed_at, observed_at)), default=None)
        silence = note_silence(last, window=self.window, at=at)
        notes = [*([silence] if silence else []), *self.notes]
        return assess(notes, complete=self.complete, states=self.states)


def _complete(coverage: Coverage) -> str:
    """Say up to which number each prefix is complete, and until when events are there."""
    ends = [f"{prefix}_{number}" for prefix, number in coverage.complete.items()]
    names = " and ".join(ends) if len(ends) <= 2 else f"{', '.join(ends[:2])} and {len(ends) - 2} more prefixes"
    until = f", all events until {coverage.until:%Y-%m-%d %H:%M} UTC" if coverage.until else ""
    return f"{names or 'nothing'}{until}"


def read_summary(store: Store, repository: str) -> Summary | None:
    """Read the summary that was last written of a repository; None if there is none that this version reads.

    :raises LakeError: if the store fails.
    """
    try:
        return msgspec.json.decode(store.read(Layout(repository).coverage_summary), type=Summary)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
