"""Files of an HTTP server; nothing is accepted that was not requested.

The server is not trusted. Its answer headers are compared with the request, compressed bodies are
refused, bodies are counted while they arrive, and a server that is too slow is given up.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from html import unescape
from typing import Any
from urllib.parse import urljoin

import aiohttp
from fsspec.asyn import sync
from multidict import CIMultiDict

from weightspace.errors import DataError
from weightspace.printable import printable
from weightspace.zoo.reading.remote.wanted import AT_ONCE, Data, Wanted, explained, other_length

GRACE = 60.0  # seconds that a server may be late in total
EACH_CALL, EACH_FILE = 5.0, 0.1  # seconds for a group of requests, and for each of them
RATE = 50_000  # bytes in a second that it must send otherwise

_CONNECT, _SILENT = 30, 60  # seconds to wait for a connection, and for its next byte
_REDIRECTS = 5
_LISTING = 2**24  # bytes of the page that lists a folder
_GONE = (404, 410)
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_LINK = re.compile(r"""href=["']([^"'<>]{1,1000})["']""", re.IGNORECASE)


class Web:
    """The files below an `http://` URL, as `wanted.Files`.

    `system` is fsspec's file system of the URL, whose session and options are used. `sizes` are the
    known sizes of files; sizes that the server states are added.
    """

    def __init__(self, url: str, system: Any, sizes: dict[str, int]) -> None:
        self._url, self._system, self._sizes = url, system, sizes
        self._left = GRACE
        waits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENT)
        # Compressed bodies are refused: they could inflate to a thousand times their size.
        system.client_kwargs = {
            "timeout": waits,
            **system.client_kwargs,
            "auto_decompress": False,
        }
        self._get_client: Callable[..., Awaitable[aiohttp.ClientSession]] = system.get_client
        system.get_client = self._client

    def fetch(self, wanted: Sequence[Wanted]) -> list[Data | None]:
        """See `Files`."""
        answers: list[Data | None] = sync(self._system.loop, self._all, wanted)
        return answers

    def size(self, name: str) -> int:
        """See `Files`; found out by requesting the first byte."""
        if name not in self._sizes:
            self.fetch([Wanted(name, 0, 1)])
        if name not in self._sizes:
            raise DataError(
                f"{self._url}/{name}",
                "the server does not say how large it is",
                "put the zoo on one that does, or run `weightspace index` where it lies",
            )
        return self._sizes[name]

    def names(self, folder: str) -> list[str]:
        """See `Files`; taken from the links of a page."""
        (page,) = self.fetch([Wanted(folder, 0, _LISTING, whole=True)])
        if page is None:
            raise DataError(f"{self._url}/{folder}", f"its list has more than {_LISTING:,} bytes")
        here = f"{self._url}/{folder}/"
        found = set()
        for link in _LINK.findall(page.decode("utf-8", "replace")):
            try:
                there = urljoin(here, unescape(link))
            except ValueError:
                continue
            # Without the scheme: behind a proxy a server may write http where the user wrote
            # https. A link to another place keeps its slashes, so it is no file name.
            found.add(_bare(there).removeprefix(_bare(here)).rstrip("/"))
        self._sizes.pop(folder, None)  # a list of files may grow
        return sorted(found)

    async def _client(self, **options: Any) -> aiohttp.ClientSession:
        """The session, without a cookie jar, which a server could fill."""
        if not {"cookies", "cookie_jar"} & options.keys():
            options["cookie_jar"] = aiohttp.DummyCookieJar()
        return await self._get_client(**options)

    async def _all(self, wanted: Sequence[Wanted]) -> list[Data | None]:
        """All answers, or the first error; stops when the time of the server is over."""
        with explained(self._url):
            session = await self._system.set_session()
        gate, clock = asyncio.Semaphore(AT_ONCE), _Clock(self._left, len(wanted))
        tasks = [asyncio.ensure_future(self._one(session, one, gate, clock)) for one in wanted]
        late: list[Wanted] = []
        try:
            async with clock.limit:
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                finally:
                    late = [one for one, task in zip(wanted, tasks, strict=True) if not task.done()]
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        except TimeoutError:
            if late:
                raise clock.ran_out(f"{self._url}/{late[0].name}") from None
        finally:
            self._left = clock.left()
        for task in tasks:  # a task that was cancelled because another failed has no result
            if not task.cancelled() and (error := task.exception()):
                raise error
        return [task.result() for task in tasks]

    async def _one(
        self, session: aiohttp.ClientSession, wanted: Wanted, gate: asyncio.Semaphore, clock: _Clock
    ) -> Data | None:
        file = f"{self._url}/{wanted.name}"
        options = {"max_redirects": _REDIRECTS, **self._system.kwargs}
        headers = CIMultiDict(options.pop("headers", None) or {})
        headers["Accept-Encoding"] = "identity"
        if not wanted.whole:
            headers["Range"] = f"bytes={wanted.start}-{wanted.stop - 1}"
        async with gate:
            with explained(file):
                url = self._system.encode_url(file)
                async with session.get(url, headers=headers, **options) as answer:
                    if answer.status in _GONE:
                        raise FileNotFoundError(file)
                    answer.raise_for_status()
                    _refuse_encoded(file, answer)
                    if wanted.whole:
                        return await self._file(file, wanted, answer, clock)
                    return await self._range(file, wanted, answer, clock)

    async def _file(
        self, file: str, wanted: Wanted, answer: aiohttp.ClientResponse, clock: _Clock
    ) -> Data | None:
        if answer.status != 200:
            raise DataError(
                file,
                f"the server answered {answer.status} to a request for the whole file",
                "check the address",
            )
        if (answer.content_length or 0) > wanted.most:
            return None
        data = await _body(answer, wanted.most, clock)
        if data is not None:
            self._check_size(file, wanted.name, len(data))
        return data

    async def _range(
        self, file: str, wanted: Wanted, answer: aiohttp.ClientResponse, clock: _Clock
    ) -> Data:
        if answer.status != 206:
            given = answer.content_length
            raise other_length(file, wanted, "all" if given is None else given)
        said = answer.headers.getall("Content-Range", [])
        found = _RANGE.fullmatch(said[0].strip()) if len(said) == 1 else None
        first, last = (int(found[1]), int(found[2])) if found else (-1, -1)
        if first == wanted.start and first <= last < wanted.stop - 1:
            raise other_length(file, wanted, last - first + 1)
        if found is None or (first, last) != (wanted.start, wanted.stop - 1):
            told = printable(", ".join(said), 80) or "without stating which"
            raise DataError(
                file,
                f"the server gave other bytes ({told}) than the requested "
                f"{wanted.start}-{wanted.stop - 1}",
                "use a server that supports byte ranges",
            )
        if found[3] != "*":
            self._check_size(file, wanted.name, int(found[3]))
        if answer.content_length not in (None, wanted.most):
            raise other_length(file, wanted, answer.content_length)
        data = await _body(answer, wanted.most, clock)
        if data is None or len(data) != wanted.most:
            raise other_length(file, wanted, "more" if data is None else len(data))
        return data

    def _check_size(self, file: str, name: str, size: int) -> None:
        known = self._sizes.setdefault(name, size)
        if known != size:
            raise DataError(
                file,
                f"has {size:,} bytes instead of {known:,}, as stated before",
                "open the zoo anew, or have `weightspace index` run where it lies",
            )


class _Clock:
    """The time that a server has for a group of requests; each byte that it sends adds time."""

    def __init__(self, grace: float, requests: int) -> None:
        self._begin = asyncio.get_running_loop().time()
        self._given = grace + EACH_CALL + EACH_FILE * requests
        self._bytes = 0
        self.limit = asyncio.timeout_at(self._begin + self._given)

    def came(self, count: int) -> None:
        """Count bytes that arrived."""
        self._bytes += count
        if not self.limit.expired():
            self.limit.reschedule(self._begin + self._given + self._bytes / RATE)

    def left(self) -> float:
        """The time that is left for later requests, at most the grace period."""
        return max(0.0, min(GRACE, self._given + self._bytes / RATE - self._passed()))

    def ran_out(self, file: str) -> DataError:
        """The error for a server that was too slow."""
        return DataError(
            file,
            f"the server is too slow ({self._bytes:,} bytes in {self._passed():.1f} s)",
            "try again later, or copy the zoo to this machine by other means",
        )

    def _passed(self) -> float:
        return asyncio.get_running_loop().time() - self._begin


def _bare(url: str) -> str:
    return url.partition("://")[2]


async def _body(answer: aiohttp.ClientResponse, most: int, clock: _Clock) -> Data | None:
    """The body, counted while it arrives; None if it has too many bytes."""
    data = bytearray()
    async for piece in answer.content.iter_any():
        clock.came(len(piece))
        data += piece
        if len(data) > most:
            return None
    return data


def _refuse_encoded(file: str, answer: aiohttp.ClientResponse) -> None:
    for encoding in answer.headers.getall("Content-Encoding", []):
        if encoding.strip().lower() not in ("", "identity"):
            raise DataError(
                file,
                f"the server gave it compressed ({printable(encoding, 40)}), which was not asked "
                "for",
                "have it give files as they are",
            )
