"""What the server answers, and what it does not, to programs that are no browser."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psutil
import pytest

from support.app_server import Server, app, needed
from support.chromium import PATIENCE, until
from weightspace.app.examples import file_of

pytestmark = pytest.mark.slow
LARGEST = 2**20
BOUNDARY = "boundary"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    needed()
    with app(tmp_path_factory.mktemp("door"), "--max-upload", "1") as running:
        yield running


def ask(server: Server, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """The status, the headers and the text of an answer."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def form(*files: tuple[str, bytes]) -> bytes:
    """The body of an upload."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def upload(server: Server, *files: tuple[str, bytes], body: Any = None) -> tuple[int, str]:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    status, _, text = ask(
        server, "POST", "/gradio_api/upload", form(*files) if body is None else body,
        Content_Type=kind,
    )  # fmt: skip
    return status, text


def audited(server: Server, session: str, *values: Any) -> str:
    """What the button "Audit" answers to a visitor, as one text."""
    *_, config = ask(server, "GET", "/config")
    run = next(
        one["id"] for one in json.loads(config)["dependencies"]
        if len(one["inputs"]) == 6 and one["targets"][0][1] == "click"
    )  # fmt: skip
    asked = {"data": (*values, "", 0), "fn_index": run, "session_hash": session, "event_data": None}
    status, _, text = ask(
        server, "POST", "/gradio_api/queue/join", json.dumps(asked), Content_Type="application/json"
    )
    assert status == 200, text
    return str(ask(server, "GET", f"/gradio_api/queue/data?session_hash={session}")[2])


def file_at(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_it_listens_on_this_machine_alone(server):
    listening = [
        one.laddr.ip
        for one in psutil.Process(server.process.pid).net_connections()
        if one.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "info",
            "openapi.json",
            "runs",
            "proxy=https://example.org/",
            "file=https://example.org/",
        ),
        *("file=/etc/passwd", "file/etc/passwd", "call/audit", "run/audit", "api/audit"),
        *("vibe-code", "vibe-edit", "custom_component/1/client/component/x.js", "queue/status"),
        *("deep_link", "upload", "login_check", "user", "token", "dev/reload"),
    ],
)
def test_addresses_of_gradio_that_the_page_does_not_need_are_not_there(server, path):
    assert ask(server, "GET", f"/gradio_api/{path}")[0] == 404
    if path not in ("upload",):
        assert ask(server, "POST", f"/gradio_api/{path}", "{}")[0] == 404


@pytest.mark.parametrize(
    "path",
    ["/monitoring", "/docs", "/openapi.json", "/redoc", "/mcp", "/svelte/x.js", "/login",
     "/assets/../../../../etc/passwd", "/static/..%2f..%2f..%2fetc%2fpasswd", "//etc/passwd"],
)  # fmt: skip
def test_other_addresses_are_not_there(server, path):
    assert ask(server, "GET", path)[0] in (403, 404)


def test_every_answer_forbids_to_load_anything_from_elsewhere(server):
    for path in ("/", "/config", "/nowhere"):
        _, headers, _ = ask(server, "GET", path)
        assert "default-src 'self'" in headers["content-security-policy"]
    *_, page = ask(server, "GET", "/")
    assert "fonts.googleapis" not in page


def test_an_upload_is_given_back_to_nobody(server):
    status, text = upload(server, ("net.pt", b"secret"))
    assert status == 200
    (place,) = json.loads(text)
    assert Path(place).read_bytes() == b"secret"
    for path in (f"file={place}", f"file={quote(place)}", f"file{place}", f"stream{place}"):
        assert ask(server, "GET", f"/gradio_api/{path}")[0] == 404
    _, again = upload(server, ("net.pt", b"secret"))
    assert json.loads(again) != [place]
    assert "net.pt: " in audited(server, "one", file_at(place), "", "", "")
    assert not Path(place).exists()
    assert "is no longer here" in audited(server, "two", file_at(place), "", "", "")


def test_no_other_file_of_the_machine_is_audited(server, tmp_path):
    _, data = file_of("true")
    (tmp_path / "net.safetensors").write_bytes(data)
    for path in (str(tmp_path / "net.safetensors"), str(server.log), "/etc/passwd"):
        said = audited(server, "other", file_at(path), "", "", "")
        assert '"success":false' in said.replace(" ", "") or "is no longer here" in said
        assert "3,610" not in said


def test_what_is_too_large_or_no_file_leaves_nothing(server):
    before = len(server.files())
    status, text = upload(server, ("net.pt", b"x" * (2 * LARGEST)))
    assert (status, text) == (413, "the file is larger than 1 MB; use the command line")
    pieces = iter([form(("net.pt", b"x" * (2 * LARGEST)))])  # sent without its length
    assert upload(server, body=pieces)[0] == 413
    assert upload(server, ("a.pt", b"x"), ("b.pt", b"x")) == (400, "drop one file")
    assert upload(server, body=b"no form")[0] == 400
    with socket.create_connection(tuple(urlsplit(server.url).netloc.split(":"))) as half:
        half.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n"
            + f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode()
            + form(("net.pt", b"x" * 1000))[:900]
        )
        until(lambda: len(server.files()) > before, "half a file")
    until(lambda: len(server.files()) == before, "removal of half a file")
    status, _, text = ask(server, "POST", "/gradio_api/queue/join", b"x" * 5 * 10**6)
    assert (status, text) == (413, "the card is too long")
    unsaid = iter([b"x" * 5 * 10**6])  # sent without its length
    assert ask(server, "POST", "/gradio_api/queue/join", unsaid)[0] in (400, 413)


def test_many_visitors_at_once_get_their_own_answers(server):
    _, data = file_of("false")
    cards = {f"visitor{n}": f"classes: {n + 5}" for n in range(10)}

    def visit(name: str) -> str:
        (place,) = json.loads(upload(server, ("net.safetensors", data))[1])
        return audited(server, name, file_at(place), "", "", cards[name])

    with ThreadPoolExecutor(len(cards)) as pool:
        said = dict(zip(cards, pool.map(visit, cards), strict=True))
    for name, card in cards.items():
        classes = card.split()[-1]
        right = "No claim is contradicted; 1 of 1 is consistent with the weights: classes 10"
        wrong = f"1 of 1 claim is contradicted: classes {classes}"
        assert (right if classes == "10" else wrong) in said[name]
    assert server.workers() == []
