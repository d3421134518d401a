"""Uploads under way: what a sender calls a file until it is whole.

Many senders write under another name and rename at the end; the names are those that common clients use by default.
"""

from __future__ import annotations

import re

_SUFFIXES = (
    "filepart|part|partial|tmp|temp|crdownload|download|opdownload|upload|uploading|incomplete|inprogress|in_progress"
    "|writing|pending|transfer|swp|swx|swo|!ut|aria2|_copying_|lftp|rsync|bak~"
)
_NAME = re.compile(
    rf"""
    \.[^./]                             # hidden, as of rsync (.name.Xy12Ab), macOS (._name) and NFS (.nfs0001)
    | ~\$ | \#                          # of an editor
    | .*~$
    | .*\.(?:{_SUFFIXES})(?:[._-]?[0-9]+)?$
    | .*\.tmp[._-][a-z0-9]+$            # a random ending, or the true one after it
    """,
    re.VERBOSE | re.IGNORECASE,
)
_FOLDERS = frozenset({"_temporary", "_tmp"})


def is_partial(path: str) -> bool:
    """Return whether a path is one that senders use while an upload is under way.

    :param path: below the folder that is delivered to; its folders count, too.
    """
    return any(_NAME.match(name) or name.lower() in _FOLDERS for name in path.split("/"))
