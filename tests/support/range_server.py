"""A small HTTP server of a folder that knows ranges, counts its bytes, and can be made hostile."""

from __future__ import annotations

import gzip
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Served:
    """A folder at `url`; `asked` holds (path, bytes sent) of every answer with a body.

    `hostility` is the name of one of `HOSTILE`, which answers about paths that contain `about`,
    and whose Range headers, or "whole" where there are none, contain `part`; who asks for `spares`
    bytes or more is told the truth. `pages` are what is said to be in folders. `times` counts what
    some of them did, `headers` are those of all requests.
    """

    folder: Path
    url: str = ""
    listing: bool = False
    hostility: str = ""
    about: str = ""
    part: str = ""
    spares: int = 0
    pages: Path | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def sent(self, about: str = "") -> int:
        """Bytes sent of paths that contain a text."""
        return sum(size for path, size in self.asked if about in path)

    def means_harm(self, path: str, span: str) -> bool:
        """Whether it is hostile about this."""
        return bool(self.hostility) and self.about in path and self.part in (span or "whole")


@dataclass
class Answer:
    """What an honest server would answer, to be made worse."""

    served: Served
    handler: BaseHTTPRequestHandler
    whole: bytes
    first: int
    last: int
    ranged: bool

    @property
    def data(self) -> bytes:
        return self.whole[self.first : self.last + 1]

    @property
    def span(self) -> str:
        return f"bytes {self.first}-{self.last}/{len(self.whole)}"

    def send(
        self,
        data: bytes | None = None,
        *,
        status: int = 0,
        span: str | None = "",
        length: int | None = -1,
        **more: str,
    ) -> None:
        """Status, headers and body; honest where nothing else is said, None for no such header."""
        data = self.data if data is None else data
        self.handler.send_response(status or (206 if self.ranged else 200))
        if length is not None:
            self.handler.send_header("Content-Length", str(len(data) if length < 0 else length))
        else:
            self.handler.send_header("Connection", "close")
            self.handler.close_connection = True
        if self.ranged and span is not None and status != 200:
            self.handler.send_header("Content-Range", span or self.span)
        self.handler.send_header("Set-Cookie", f"c{len(self.served.headers)}=1")
        for name, value in more.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.served.asked.append((self.handler.path, len(data)))
        self.handler.wfile.write(data)

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.handler.close_connection = True
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def endlessly(self, data: bytes, pause: float = 0.0) -> None:
        """The same again and again, until nobody listens."""
        while not self.served.stopped.wait(pause):
            self.raw(data)

    def head(self, *lines: str) -> None:
        """A status and header lines, with nothing behind."""
        status = "206 Partial Content" if self.ranged else "200 OK"
        lines = (*lines, f"Content-Range: {self.span}") if self.ranged else lines
        self.raw("\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode())

    def shifted(self) -> bytes:
        """As many bytes as were asked for, from elsewhere in the file."""
        return (self.whole[self.last + 1 :] + self.whole)[: len(self.data)]


@cache
def _bomb(wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join(packer.compress(b" " * 2**20) for _ in range(64)) + packer.flush()


def _hangs(a: Answer) -> None:
    a.head(f"Content-Length: {len(a.data)}")
    a.raw(a.data[: len(a.data) // 2])
    a.served.stopped.wait(10)


def _drip(a: Answer) -> None:
    a.head(f"Content-Length: {len(a.data)}")
    for i in range(len(a.data)):
        if a.served.stopped.wait(0.05):
            break
        a.raw(a.data[i : i + 1])


def _slow(a: Answer) -> None:
    """In a second, in ten pieces."""
    a.head(f"Content-Length: {len(a.data)}")
    step = len(a.data) // 10 + 1
    for at in range(0, len(a.data), step):
        a.served.stopped.wait(0.1)
        a.raw(a.data[at : at + step])


def _late(a: Answer) -> None:
    a.served.stopped.wait(0.2)
    a.send()


def _resized(a: Answer) -> None:
    a.served.times += 1
    a.send(span=f"bytes {a.first}-{a.last}/{len(a.whole) + a.served.times}")


def _multipart(a: Answer) -> None:
    body = f"--x\r\nContent-Range: {a.span}\r\n\r\n".encode() + a.data + b"\r\n--x--\r\n"
    a.send(body, span=None, Content_Type="multipart/byteranges; boundary=x")


def _endless(a: Answer) -> None:
    a.head("Connection: close")
    a.endlessly(b" " * 2**20)


def _chunked(a: Answer, chunk: bytes) -> None:
    a.head("Transfer-Encoding: chunked")
    a.endlessly(chunk)


def _trailers(a: Answer) -> None:
    a.head("Transfer-Encoding: chunked")
    a.raw(b"%x\r\n" % len(a.data) + a.data + b"\r\n0\r\n")
    a.endlessly(b"X-More: " + b"x" * 4000 + b"\r\n")


def _header_lines(a: Answer) -> None:
    a.raw(b"HTTP/1.1 200 OK\r\n")
    a.endlessly(b"X-More: " + b"x" * 4000 + b"\r\n")


def _one_header(a: Answer) -> None:
    a.raw(b"HTTP/1.1 200 OK\r\nX-More: ")
    a.endlessly(b"x" * 65536)


def _moved(a: Answer, place: str) -> None:
    a.served.times += 1
    a.send(b"", status=302, Location=place.format(a.served.times), span=None)


def _lies(a: Answer) -> None:
    """Other bytes, with the headers of the right ones: of the whole file where it is asked for."""
    a.send(a.shifted() if a.ranged else bytes(len(a.data)))


HOSTILE: dict[str, Callable[[Answer], Any]] = {
    # what is no answer
    "missing": lambda a: a.handler.send_error(404),
    "forbidden": lambda a: a.handler.send_error(403),
    "silent": lambda a: a.served.stopped.wait(10),
    "closes": lambda a: a.raw(b""),
    "garbage": lambda a: a.raw(b"220 smtp.example.org ESMTP\r\n"),
    "no content": lambda a: a.send(b"", status=204, span=None, length=0),
    "moves in circles": lambda a: _moved(a, "/elsewhere/{}" + a.handler.path),
    "moves to a file": lambda a: _moved(a, "file:///etc/passwd"),
    "continues": lambda a: a.endlessly(b"HTTP/1.1 100 Continue\r\n\r\n" * 10, 0.01),
    # too much, too little, too late
    "short": lambda a: a.send(a.data[: len(a.data) // 2]),
    "long": lambda a: a.send(a.data + b"xx"),
    "long and chunked": lambda a: _chunked(a, b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "whole": lambda a: a.send(a.whole, status=200, span=None),
    "endless": _endless,
    "said to be huge": lambda a: a.send(b" " * 2**16, length=10**15),
    "hangs": _hangs,
    "drip": _drip,
    "slow": _slow,
    "late": _late,
    "header lines": _header_lines,
    "one header": _one_header,
    "trailers": _trailers,
    "tiny chunks": lambda a: _chunked(a, b"1\r\nx\r\n" * 5000),
    "chunk extension": lambda a: _chunked(a, b"1;" + b"x" * 65536),
    # compressed
    "gzip": lambda a: a.send(_bomb(31), Content_Encoding="gzip"),
    "deflate": lambda a: a.send(_bomb(15), Content_Encoding="deflate"),
    "honest gzip": lambda a: a.send(gzip.compress(a.data), Content_Encoding="gzip"),
    "br": lambda a: a.send(Content_Encoding="br"),
    "twice gzip": lambda a: a.send(gzip.compress(a.data), Content_Encoding="identity, gzip"),
    # other bytes
    "other": lambda a: a.send(bytes(len(a.data))),
    "lies": _lies,
    "wrong": lambda a: a.send(
        a.whole[: len(a.data)], span=f"bytes 0-{len(a.data) - 1}/{len(a.whole)}"
    ),
    "resized": _resized,
    "other size": lambda a: a.send(span=f"bytes {a.first}-{a.last}/{10**9}"),
    "multipart": _multipart,
    "no range": lambda a: a.send(span=None),
    "odd range": lambda a: a.send(span="lines 1-2/3"),
    "two ranges": lambda a: a.send(Content_range=f"bytes 0-{len(a.data)}/{len(a.whole)}"),
}


@contextmanager
def serving(folder: Path, **more: object) -> Iterator[Served]:
    served = Served(folder, **more)  # type: ignore[arg-type]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            with suppress(OSError):  # who meant harm may be hung up on
                self.answer()

        def answer(self) -> None:
            served.headers.append(dict(self.headers))
            asked = self.headers.get("Range", "")
            harm = served.means_harm(self.path, asked)
            file = served.folder / self.path.lstrip("/")
            if not file.exists() or (file.is_dir() and not served.listing):
                if harm and served.times:  # where it was moved to
                    file = served.folder / "zoo.json"
                else:
                    self.send_error(404)
                    return
            if file.is_dir() and served.pages:
                whole = (served.pages / file.name).read_bytes()
            elif file.is_dir():
                links = (f'<a href="{one.name}">{one.name}</a>' for one in file.iterdir())
                whole = "\n".join(links).encode()
            else:
                whole = file.read_bytes()
            span = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
            first, last = (int(span[1]), int(span[2])) if span else (0, len(whole))
            last = min(last, len(whole) - 1)
            answer = Answer(served, self, whole, first, last, bool(span))
            if harm and not 0 < served.spares <= len(answer.data):
                HOSTILE[served.hostility](answer)
            else:
                answer.send()

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # connections that wait to be accepted
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        served.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
