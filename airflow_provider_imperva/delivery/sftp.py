"""Folders over SFTP, by a connection that is open already."""

from __future__ import annotations

import io
import threading
from types import TracebackType
from typing import Any, Self

from fsspec.implementations.sftp import SFTPFileSystem


class OpenedSFTP(SFTPFileSystem):  # type: ignore[misc]
    """fsspec's filesystem over SFTP, on an SSH connection that others have opened, host key checked and all.

    Each thread has a channel of its own, since paramiko's SFTP client loses answers when threads share one.

    :param client: a connected ``paramiko.SSHClient``; it is closed with this.
    """

    cachable = False

    def __init__(self, client: Any) -> None:
        self._channels = threading.local()
        self._given = client
        super().__init__(host="")

    def _connect(self) -> None:
        self.client = self._given

    @property
    def ftp(self) -> Any:
        """The channel of this thread."""
        if not hasattr(self._channels, "ftp"):
            self._channels.ftp = self.client.open_sftp()
        return self._channels.ftp

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Read a file as a whole, with many requests under way at once."""
        content = io.BytesIO()
        self.ftp.getfo(path, content)
        return content.getvalue()[start:end]

    def rm_file(self, path: str) -> None:
        """Delete a file."""
        self.ftp.remove(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # With all its channels.
        self.client.close()
