"""A small HTTP server of a folder that knows ranges, counts its bytes, and can be made hostile."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Served:
    """A folder at `url`; `asked` holds (path, bytes sent) of every answer with a body.

    `hostility` changes answers about paths that contain `about`: "short" cuts them, "whole" ignores
    ranges, "missing" is 404, "silent" never answers, "hangs" stops half-way, "other" sends zeros.
    """

    folder: Path
    url: str = ""
    listing: bool = False
    hostility: str = ""
    about: str = ""
    asked: list[tuple[str, int]] = field(default_factory=list)

    def sent(self, about: str = "") -> int:
        """Bytes sent of paths that contain a text."""
        return sum(size for path, size in self.asked if about in path)


@contextmanager
def serving(folder: Path, **more: object) -> Iterator[Served]:
    served = Served(folder, **more)  # type: ignore[arg-type]
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            hostility = served.hostility if served.about in self.path else ""
            file = served.folder / self.path.lstrip("/")
            if hostility == "silent":
                stopped.wait(10)
                return
            if (
                hostility == "missing"
                or not file.exists()
                or (file.is_dir() and not served.listing)
            ):
                self.send_error(404)
                return
            if file.is_dir():
                links = (f'<a href="{one.name}">{one.name}</a>' for one in file.iterdir())
                data, whole = "\n".join(links).encode(), True
            else:
                data, whole = file.read_bytes(), True
            size = len(data)
            span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if span and hostility != "whole":
                first, last = int(span[1]), min(int(span[2]), size - 1)
                data, whole = data[first : last + 1], False
            if hostility == "short":
                data = data[: len(data) // 2]
            if hostility == "other":
                data = bytes(len(data))
            self.send_response(200 if whole else 206)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Accept-Ranges", "bytes")
            if not whole:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.end_headers()
            if body:
                if hostility == "hangs":
                    self.wfile.write(data[: len(data) // 2])
                    self.wfile.flush()
                    stopped.wait(10)
                    return
                served.asked.append((self.path, len(data)))
                self.wfile.write(data)

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # connections that wait to be accepted
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
