"""A Ray cluster that a run starts for itself: what listens where, who may enter, what is left."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from weightspace.errors import DataError, UsageError
from weightspace.sampling.engines import connection, private

pytest.importorskip("ray")

STARTED = """
    import json, os, sys
    from weightspace.sampling.engines.connection import connected

    with connected(None) as api:
        def told():
            return os.environ["RAY_AUTH_TOKEN"]
        worker = api.get(api.remote(num_cpus=1)(told).remote())
        print(json.dumps({
            "address": api.get_runtime_context().gcs_address,
            "session": api._private.worker._global_node.get_session_dir_path(),
            "token": os.environ["RAY_AUTH_TOKEN"],
            "worker": worker,
        }), flush=True)
        sys.stdin.read()
    print(json.dumps({name: os.environ.get(name) for name in sys.argv[1:]}), flush=True)
"""
ASKED = """
    import sys
    from ray._raylet import GcsClient
    print(GcsClient(address=sys.argv[1], cluster_id=None).internal_kv_keys(b"", None, 10))
"""
VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@dataclass
class Started:
    """A process that has a cluster of its own, and what it says of it."""

    process: subprocess.Popen[str]
    home: Path
    temporary: Path
    address: str
    session: Path
    token: str
    worker: str

    @property
    def folder(self) -> Path:
        """The private folder."""
        return self.session.parent.parent

    def family(self) -> list[psutil.Process]:
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]


def python(text: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(text), *arguments]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """One for all tests here, in an environment that asks for the opposite of what it gets."""
    home = tmp_path_factory.mktemp("home")
    temporary = Path(tempfile.mkdtemp(dir="/tmp")).resolve()  # short enough for sockets
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "RAY_AUTH_MODE": "disabled",
        "RAY_AUTH_TOKEN": "that of another cluster",
    }
    process = subprocess.Popen(
        python(STARTED, *VARIABLES),
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    facts: dict[str, Any] = json.loads(process.stdout.readline())
    facts["session"] = Path(facts["session"])
    yield Started(process, home, temporary, **facts)
    process.kill()
    process.wait()
    shutil.rmtree(temporary)


def test_every_socket_of_every_process_listens_on_loopback(started: Started) -> None:
    servers = [
        (process.name(), found.laddr)
        for process in started.family()
        for found in process.net_connections("inet")
        if found.status == psutil.CONN_LISTEN or found.type == socket.SOCK_DGRAM
    ]
    assert {"gcs_server", "raylet"} <= {name for name, _ in servers}
    assert len(servers) >= 6  # these, raylet's second, an agent's, the driver's and a worker's
    for name, (host, _) in servers:
        address = ipaddress.ip_address(host)
        mapped = getattr(address, "ipv4_mapped", None)
        assert (mapped or address).is_loopback, name


@pytest.mark.parametrize("token", [None, "0" * 64])
def test_who_has_not_the_token_learns_nothing(started: Started, token: str | None) -> None:
    mode = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {}
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | mode
    answer = subprocess.run(
        python(ASKED, started.address), env=env, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 1
    assert "Unauthenticated" in answer.stderr or "AuthenticationError" in answer.stderr
    assert answer.stdout == ""


def test_the_token_is_the_clusters_own_and_stands_nowhere(started: Started) -> None:
    assert len(started.token) == 64
    assert started.worker == started.token
    for process in started.family():
        assert started.token not in " ".join(process.cmdline())
    files = [
        path
        for folder in (started.folder, started.home)
        for path in folder.rglob("*")
        if path.is_file()
    ]
    assert len(files) > 10
    assert [path for path in files if started.token.encode() in path.read_bytes()] == []
    assert list(started.home.iterdir()) == []  # where Ray would leave a token for all clusters


def test_all_that_it_writes_is_in_a_folder_of_this_user_alone(started: Started) -> None:
    assert started.folder.parent == started.temporary
    assert list(started.temporary.iterdir()) == [started.folder]
    assert stat.S_IMODE(started.folder.stat().st_mode) == 0o700
    assert started.folder.stat().st_uid == os.getuid()
    sockets = [path for path in started.folder.rglob("*") if path.is_socket()]
    assert {path.name for path in sockets} >= {"raylet", "plasma_store"}
    for process in started.family():
        for found in process.net_connections("unix"):
            if found.status == psutil.CONN_LISTEN and found.laddr:
                assert Path(found.laddr).is_relative_to(started.folder)
    command = " ".join(" ".join(process.cmdline()) for process in started.family())
    assert "/tmp/ray/" not in command


def test_nothing_of_it_is_left_and_the_environment_is_as_it_was(started: Started) -> None:
    """The last one: it ends the cluster."""
    family = started.family()[1:]
    assert family
    told, _ = started.process.communicate(timeout=60)
    assert started.process.returncode == 0
    assert json.loads(told) == {
        "RAY_AUTH_MODE": "disabled",
        "RAY_AUTH_TOKEN": "that of another cluster",
        "RAY_AUTH_TOKEN_PATH": None,
    }
    assert not started.folder.exists()
    assert list(started.temporary.iterdir()) == []
    assert psutil.wait_procs(family, timeout=20)[1] == []


def test_sockets_fit_where_the_temporary_folder_has_a_long_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with private._folder() as folder:
        assert len(f"{folder}{private._INSIDE[len('/ray-12345678') :]}") <= private._LONGEST_SOCKET
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_a_temporary_folder_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    with (
        pytest.raises(DataError, match=r"/proc: cannot be written \(.*\); set TMPDIR"),
        private._folder(),
    ):
        pass


class Elsewhere:
    """A Ray that would not stay on loopback."""

    __version__ = "9.0.0"

    class util:
        @staticmethod
        def get_node_ip_address() -> str:
            return "192.0.2.7"


def test_a_ray_that_does_not_stay_on_loopback_is_refused() -> None:
    with pytest.raises(UsageError, match=r"engine: ray 9\.0\.0 is at 192\.0\.2\.7, where"):
        private.refuse_public(Elsewhere)


def test_a_cluster_that_ray_notes_and_that_is_gone_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("192.0.2.7:1\n")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(connection, "SECONDS", 0.2)
    with pytest.raises(UsageError, match=r"address: no cluster answers at 192\.0\.2\.7:1"):
        connection._found(None)
