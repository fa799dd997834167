"""Checkpoints at a URL, and on the Hugging Face hub: only the bytes that are needed are fetched.

`hf://OWNER/NAME[@REVISION][/FILE]` is a public model of the hub. The server is not trusted; how its
answers are checked is said in `weightspace.zoo.reading.remote`.
"""

from __future__ import annotations

import json
import os
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.sized import Sized
from weightspace.disk import InnerPath, open_file
from weightspace.errors import DataError, UsageError
from weightspace.printable import printable

if TYPE_CHECKING:
    from weightspace.zoo.reading.remote.server import Server

_HUB = "https://huggingface.co"
_SCHEME = re.compile(r"(hf|https?):/{1,2}(?=[^/])")
_MODEL = re.compile(
    r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)(@(?P<revision>[\w.-]+(/[\w.-]+)*?))?(/(?P<file>.+))?",
    re.ASCII,
)
_SHA = re.compile(r"[0-9a-f]{40}")
_MOST_SAID = 2**23  # bytes that the hub says of a model
_BLOCK, _BLOCKS = 2**16, 256  # bytes that are fetched and kept at least
_PIECE = 2**26  # bytes that are fetched at once


@dataclass(frozen=True)
class RemotePath:
    """A file below a URL; `names` are all that are known there, if the server says them."""

    server: Server
    parts: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return printable("/".join([self.server.url, *self.parts]), 4096)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self.server, (*self.parts, name), self.names)

    @property
    def parent(self) -> RemotePath:
        """The folder."""
        return RemotePath(self.server, self.parts[:-1], self.names)

    @property
    def name(self) -> str:
        """The last name, without what follows a question mark."""
        return self.parts[-1].partition("?")[0] if self.parts else ""

    @property
    def suffix(self) -> str:
        """The suffix of the last name, with its dot."""
        return PurePosixPath(self.name).suffix

    def file(self) -> RemoteFile:
        """The file, to read from."""
        name = "/".join(self.parts)
        if self.names is not None and name not in self.names:
            raise FileNotFoundError(name)
        return RemoteFile(self.server, name)


class RemoteFile(Sized):
    """A file at a URL as an open one: blocks are fetched when they are needed; some are kept."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(server.size(name))
        self._server, self._name = server, name
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as the buffer has, or some of them."""
        target = memoryview(buffer).cast("B")
        length = max(min(len(target), self.size - self._at), 0)
        if not length:
            return 0
        if length >= _BLOCK:
            length = min(length, _PIECE)
            data = self._fetched(self._at, self._at + length)
        else:
            number, first = divmod(self._at, _BLOCK)
            data = self._block(number)[first : first + length]
            length = len(data)
        target[:length] = data
        self._at += length
        return length

    def read(self, size: int = -1) -> bytes:
        """Read as many bytes as there are, up to `size`."""
        length = max(self.size - self._at, 0)
        data = bytearray(length if size is None or size < 0 else min(size, length))
        done = 0
        while done < len(data):
            done += self.readinto(memoryview(data)[done:])
        return bytes(data)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * _BLOCK
            self._blocks[number] = self._fetched(start, min(start + _BLOCK, self.size))
            if len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _fetched(self, start: int, stop: int) -> bytes:
        (data,) = self._server.ranges([(self._name, start, stop)])
        return bytes(data)


Place = Path | InnerPath | RemotePath


def opened(place: Place) -> BinaryIO:
    """The open file, of any size: only pickles and headers, which are limited, are read whole."""
    if isinstance(place, RemotePath):
        return cast(BinaryIO, place.file())
    if isinstance(place, InnerPath):
        return open_file(place, within=True)
    if place.exists() and not place.is_file():
        raise Refusal("no regular file", "copy what it gives into one")
    return open_file(place)


def remote(place: Path | InnerPath) -> RemotePath | None:
    """The file or model that a path means if it is a URL; None if it is none.

    `Path` makes one slash of two, so "https:/host/file" means "https://host/file".
    """
    if isinstance(place, InnerPath) or not (match := _SCHEME.match(place.as_posix())):
        return None
    if os.path.lexists(place):
        return None
    rest = place.as_posix()[match.end() :]
    try:
        if match[1] == "hf":
            return _of_hub(rest)
        folder, _, name = rest.rpartition("/")
        if not folder or not name:
            raise Refusal("names no file", "give the address of a file")
        return RemotePath(_server(f"{match[1]}://{folder}"), (name,))
    except UsageError as error:
        raise DataError(error.thing, error.cause, error.remedy) from None


def _server(url: str) -> Server:
    from weightspace.zoo.reading.remote.server import Server  # loads much that files do not need

    return Server(url, {})


def _of_hub(rest: str) -> RemotePath:
    """A model of the hub, or a file of it, in the revision that its name means now."""
    match = _MODEL.fullmatch(rest)
    if match is None:
        raise Refusal("no name of a model", "write hf://OWNER/NAME, or hf://OWNER/NAME/FILE")
    hub = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB
    model, revision = f"{match['owner']}/{match['name']}", match["revision"] or "main"
    server = _server(f"{hub}/api/models/{model}/revision")
    (raw,) = server.whole([(revision, _MOST_SAID)])
    try:
        said = json.loads(bytes(raw or b""))
        sha = said["sha"]
        names = tuple(one["rfilename"] for one in said["siblings"])
        if not _SHA.fullmatch(sha) or not all(type(name) is str for name in names):
            raise ValueError
    except (ValueError, TypeError, LookupError, RecursionError):
        raise Refusal("the hub says nothing of it that is understood", "check its name") from None
    found = RemotePath(_server(f"{hub}/{model}/resolve/{sha}"), (), names)
    for name in (match["file"] or "").split("/") if match["file"] else ():
        if name in ("", ".", ".."):
            raise Refusal("names no file", "write hf://OWNER/NAME/FILE")
        found = found / name
    return found
