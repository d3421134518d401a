"""Folders over SFTP, by a connection that is open already."""

from __future__ import annotations

import io
import threading
from types import TracebackType
from typing import Any, Self

from fsspec.implementations.sftp import SFTPFileSystem
from paramiko import Message, SFTPClient


class _Names(Message):  # type: ignore[misc]
    """An answer whose texts may be of any bytes: what is not UTF-8 becomes surrogates, as in Python's file names."""

    def get_text(self) -> str:
        text: str = self.get_string().decode(errors="surrogateescape")
        return text


class _Channel(SFTPClient):  # type: ignore[misc]
    """paramiko's client, for names of any bytes: one that is not UTF-8 would fail every listing of its folder."""

    def _request(self, t: int, *arguments: Any) -> tuple[int, Any]:
        kind, answer = super()._request(t, *arguments)
        names = _Names(answer.asbytes())
        names.packet.seek(answer.packet.tell())
        return kind, names

    def _adjust_cwd(self, path: str | bytes) -> bytes:
        adjusted: bytes = super()._adjust_cwd(path.encode(errors="surrogateescape") if isinstance(path, str) else path)
        return adjusted


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
            self._channels.ftp = _Channel.from_transport(self.client.get_transport())
        return self._channels.ftp

    def ls(self, path: str, detail: bool = False, **kwargs: Any) -> list[Any]:
        """List a folder, whatever bytes the names in it are of."""
        entries = [self._decode_stat(stat, path) for stat in self.ftp.listdir_attr(path)]
        return entries if detail else sorted(entry["name"] for entry in entries)

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
