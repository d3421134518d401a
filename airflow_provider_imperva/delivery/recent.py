"""Which objects of a bucket may be new, by their names: to list all of a million takes a minute, each time.

Names prove nothing. What a name hides is found when all is listed, once a day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import ConfigurationError

RISING = "rising"
_DAYS = (-2, -1, 0, 1)
"""Days around today, UTC, whose folders are listed: uploads may be late, and clocks and time zones differ."""


@dataclass(frozen=True, slots=True)
class Recent:
    """How a folder's names tell what may be new.

    :param pattern: None if names rise with time; else the folder of a day, as ``strftime`` writes it: ``%Y/%m/%d``.
    :param clock: gives the current day.
    """

    pattern: str | None = None
    clock: Clock = wall_clock

    @classmethod
    def parse(cls, text: str, *, about: str) -> Recent | None:
        """Read the setting ``listing``: ``all``, ``rising``, or the folder of a day.

        :raises ConfigurationError: if it is none of these.
        """
        given = text.strip().strip("/")
        if given in ("", "all"):
            return None
        if given == RISING:
            return cls()
        days = {_day(given, datetime(2026, month, day)) for month, day in ((1, 2), (1, 3), (2, 3))}
        if len(days) < 3 or any(not day or "%" in day for day in days):
            raise ConfigurationError(
                "extra 'listing' is neither all, rising nor the folder of a day",
                do="Write such as %Y/%m/%d for folders of a day, or rising if each new name is above all others",
                about=about,
            )
        return cls(given)

    def entries(self, fs: Any, root: str, after: str) -> list[dict[str, Any]]:
        """List what may be new in a bucket.

        :param fs: its filesystem.
        :param root: the folder, with the bucket.
        :param after: path of a known object below the folder.
        """
        if self.pattern is None:
            return _after(fs, root, after)
        today = self.clock()
        entries: dict[str, dict[str, Any]] = {}
        for day in _DAYS:
            entries |= fs.find(f"{root}/{_day(self.pattern, today + timedelta(days=day))}", detail=True)
        return list(entries.values())


def _day(pattern: str, at: datetime) -> str:
    return at.strftime(pattern)


def _after(fs: Any, root: str, after: str) -> list[dict[str, Any]]:
    if not hasattr(fs, "call_s3"):
        # Only S3 lists from a name on.
        return list(fs.find(root, detail=True).values())
    call: Callable[..., dict[str, Any]] = fs.call_s3
    bucket, key, _ = fs.split_path(root)
    prefix = f"{key}/" if key else ""
    entries = []
    position = {"StartAfter": f"{prefix}{after}"}
    while position:
        page = call("list_objects_v2", Bucket=bucket, Prefix=prefix, **position)
        entries += [
            {
                "name": f"{bucket}/{item['Key']}",
                "type": "file",
                "size": item["Size"],
                "ETag": item["ETag"],
                "LastModified": item["LastModified"],
            }
            for item in page.get("Contents", [])
            if not item["Key"].endswith("/")
        ]
        position = {"ContinuationToken": page["NextContinuationToken"]} if page.get("IsTruncated") else {}
    return entries
