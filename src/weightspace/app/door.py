"""`Door`: the middleware before Gradio, which lets through only what the page needs.

Gradio serves more than this app uses: files of its cache, a proxy, pages for developers. Only the
addresses of `_OPEN` are answered. Uploads are stored in `Uploads`, and no address gives them back.
All answers have a content security policy by which a browser loads nothing from other servers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from weightspace import disk
from weightspace.app.limits import MEGABYTE
from weightspace.app.uploads import Uploads
from weightspace.errors import WeightspaceError

if TYPE_CHECKING:
    from starlette.responses import Response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_GRADIO = "/gradio_api"
_UPLOAD = f"{_GRADIO}/upload"
_EVENTS = (f"{_GRADIO}/queue/join", f"{_GRADIO}/cancel", f"{_GRADIO}/reset", _UPLOAD)
_OPEN = {
    "/": ("GET", "HEAD"),
    **dict.fromkeys(("/config", "/theme.css", "/favicon.ico", "/robots.txt"), ("GET",)),
    "/manifest.json": ("GET",),
    **dict.fromkeys((f"{_GRADIO}/theme.css", f"{_GRADIO}/startup-events"), ("GET",)),
    **dict.fromkeys((f"{_GRADIO}/queue/data", f"{_GRADIO}/upload_progress"), ("GET",)),
    **dict.fromkeys(_EVENTS, ("POST",)),
}
_OPEN_BELOW = ("/assets/", "/static/", f"{_GRADIO}/heartbeat/")
_MOST_OF_AN_EVENT = 4 * MEGABYTE  # a card is text of 2 MB at most
_ENVELOPE = 2**16  # bytes of an upload beside the file
_HEADERS = {
    b"content-security-policy": (
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        b"frame-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
        b"form-action 'none'"
    ),
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}


class _TooLarge(Exception):
    """More bytes than are taken."""


class Door:
    """A middleware of ASGI.

    Parameters
    ----------
    app : ASGI application
        What is behind the door.
    uploads : Uploads
        Where files of visitors are kept.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], uploads: Uploads) -> None:
        self._app = app
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        from starlette.responses import PlainTextResponse

        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page opens no web sockets
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        send = _with_headers(send)
        if not _is_open(path, scope["method"]):
            await PlainTextResponse("not found", 404)(scope, receive, send)
        elif path == _UPLOAD:
            await (await self._upload(scope, receive))(scope, receive, send)
        elif _stated(scope) > _MOST_OF_AN_EVENT:
            await PlainTextResponse("the card is too long", 413)(scope, receive, send)
        else:
            await self._app(scope, _counted(receive, _MOST_OF_AN_EVENT), send)

    async def _upload(self, scope: Scope, receive: Receive) -> Response:
        """Store the file of a request; the answer is its place, which only its owner knows."""
        from gradio.route_utils import MultiPartException, upload_fn
        from gradio.routes import file_upload_statuses
        from starlette.requests import ClientDisconnect, Request
        from starlette.responses import JSONResponse, PlainTextResponse

        limit = self._uploads.limits.upload
        request = Request(scope, _counted(receive, limit + _ENVELOPE))
        large = PlainTextResponse(
            f"the file is larger than {limit // MEGABYTE:,} MB; use the command line", 413
        )
        if _stated(scope) > limit + _ENVELOPE:
            return large
        upload_id = request.query_params.get("upload_id")
        try:
            room = self._uploads.room()
        except WeightspaceError as error:
            return PlainTextResponse(str(error), 413)
        kept = False
        try:
            places, _, _ = await upload_fn(
                request, str(room.path), limit, upload_id, True, file_upload_statuses
            )
            kept = len(places) == 1
            return JSONResponse(places) if kept else PlainTextResponse("drop one file", 400)
        except (_TooLarge, MultiPartException) as error:
            too_large = isinstance(error, _TooLarge) or "maximum allowed size" in str(error)
            return large if too_large else PlainTextResponse("no file arrived", 400)
        except ClientDisconnect:
            return PlainTextResponse("no file arrived", 400)
        finally:
            if upload_id:
                file_upload_statuses.set_done(upload_id)
            if not kept:
                disk.remove_tree(room)


def _is_open(path: str, method: str) -> bool:
    if path.startswith(_OPEN_BELOW) and ".." not in path:
        return method == "GET"
    return method in _OPEN.get(path.rstrip("/") or "/", ())


def _stated(scope: Scope) -> int:
    """The bytes that a request says it has; 0 if it says nothing."""
    said = dict(scope["headers"]).get(b"content-length", b"0")
    return int(said) if said.isdigit() else 0


def _counted(receive: Receive, most: int) -> Receive:
    """The messages of a request, as long as it is no longer than `most` bytes."""
    read = 0

    async def counting() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            raise _TooLarge
        return message

    return counting


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS.items()]
        await send(message)

    return sending
