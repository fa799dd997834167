"""A Ray cluster for one run, which only this user's own processes can reach.

By default Ray listens on every interface. It keeps its sockets and logs in folders that everyone
can write to, and uses one token for all clusters, which everyone can read. Here it listens on
loopback only. It asks for a token that belongs to this cluster and is in no file. Its files are in
a private folder that is removed at the end.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from weightspace.disk import inner_of, remove_tree
from weightspace.errors import DataError, UsageError

_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_LONGEST_SOCKET = 107 if sys.platform.startswith("linux") else 103
_INSIDE = "/ray-12345678/s/session_2000-01-01_00-00-00_123456_4194304/sockets/plasma_store"
_PATIENCE_SECONDS = 5
"""How long to wait until Ray's processes have closed their files at the end."""


@contextmanager
def privacy() -> Iterator[dict[str, Any]]:
    """The arguments with which `ray.init` starts a private cluster.

    The caller must shut the cluster down before the block ends. After it, Ray has its former
    settings again.
    """
    told = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),  # in no file, and not visible to other users
        "RAY_AUTH_TOKEN_PATH": None,
        _LOOPBACK: "0",
    }
    with _folder() as folder, _environment(told), _on_loopback():
        yield {
            "address": "local",
            "include_dashboard": False,
            "_temp_dir": str(folder / "s"),  # Ray opens this folder to all; its parent is private
        }


def refuse_public(api: Any) -> None:
    """Refuse a started cluster that others could reach; a later Ray might make one."""
    address = api.util.get_node_ip_address()
    if not ipaddress.ip_address(address).is_loopback:
        raise UsageError(
            "engine",
            f"ray {api.__version__} is at {address}, where it should stay on loopback",
            "install an older one, or give the `address=` of a cluster",
        )


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for this user only, with a path short enough for sockets."""
    base = tempfile.gettempdir()
    if len(os.fsencode(base + _INSIDE)) > _LONGEST_SOCKET:
        base = "/tmp"
    try:
        folder = Path(tempfile.mkdtemp(prefix="ray-", dir=base))
    except OSError as error:
        raise DataError(
            base, f"cannot be written ({error.strerror})", "set TMPDIR to a folder that can"
        ) from None
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the folder, even if processes that are ending still write to it."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while folder.exists() and time.monotonic() < until:
        with suppress(OSError, DataError):
            remove_tree(inner_of(folder))
        if folder.exists():
            time.sleep(0.1)


@contextmanager
def _environment(told: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables here and in all processes of the cluster, and restore them at the end."""
    before = {name: os.environ.get(name) for name in told}
    _set(told)
    try:
        yield
    finally:
        _set(before)


def _set(told: Mapping[str, str | None]) -> None:
    for name, value in told.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    # Ray read the variables when it was loaded, so it must read them again. The order matters: its
    # threads look for a token if the mode requires one, and end the process if there is none.
    raylet = importlib.import_module("ray._raylet")
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let Ray use loopback as the address of this machine, as on systems without clusters.

    All its servers then listen on loopback only. Its other processes read this from the variable.
    """
    constants: Any = importlib.import_module("ray._private.ray_constants")
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before
