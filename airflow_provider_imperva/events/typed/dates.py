"""The dates that one log may spread its events over.

Each date is a partition, and so a part that is written. Clients have a hand in times: forged ones that lie on thousands
of dates would make thousands of parts out of one log. So a log may have any date near its own time, and of all others
as many as a year has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from airflow_provider_imperva.events.schema.source import LogSource

NEAR = 31
"""Days before or after the log's own time."""

MOST_FAR = 366
"""How many dates that are not near one log may have."""

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, slots=True)
class LogDates:
    """The far dates of one log, in the order in which they come.

    :ivar own: the log's own date: that of its start, else that of its fetch.
    """

    own: np.datetime64
    far: set[np.datetime64] = field(default_factory=set)

    @classmethod
    def of(cls, source: LogSource) -> LogDates:
        """Return those of a log of which no event was seen yet."""
        own = source.start_time or source.fetched_time or 0
        return cls(np.datetime64(own, "ms").astype("datetime64[D]"))

    def too_many(self, dates: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
        """Return which of some events are on a far date more than a log may have.

        :param dates: of events in the order of the body, as ``datetime64[D]``; NaT for one without a time.
        """
        is_far = np.abs(dates - self.own) > NEAR * _DAY
        if not is_far.any():
            return is_far
        distinct, first = np.unique(dates[is_far], return_index=True)
        for date in distinct[np.argsort(first)]:
            if len(self.far) == MOST_FAR:
                break
            self.far.add(date)
        return is_far & ~np.isin(dates, list(self.far))
