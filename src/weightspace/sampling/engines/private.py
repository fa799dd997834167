"""A Ray cluster that is started for one run: nobody but this user's own processes reaches it.

By itself Ray listens on every interface, keeps its sockets and logs in folders that anybody may
write to, and takes a token that is the same for all clusters and readable by all. Here it listens
on loopback, asks for a token that is the cluster's own and stands in no file, and has its files in
a private folder that is gone at the end.
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
"""How long Ray's processes may take to close their files when they were told to end."""


@contextmanager
def privacy() -> Iterator[dict[str, Any]]:
    """What `ray.init` must be given to start a private cluster, for as long as it is to live.

    The caller shuts the cluster down before leaving; then Ray is as it was before.
    """
    told = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),  # in no file, and of others' environments in none
        "RAY_AUTH_TOKEN_PATH": None,
        _LOOPBACK: "0",
    }
    with _folder() as folder, _environment(told), _on_loopback():
        yield {
            "address": "local",
            "include_dashboard": False,
            "_temp_dir": str(folder / "s"),  # which Ray opens to all: what is above is private
        }


def refuse_public(api: Any) -> None:
    """Refuse a started cluster whose address others could reach; a Ray to come may change that."""
    address = api.util.get_node_ip_address()
    if not ipaddress.ip_address(address).is_loopback:
        raise UsageError(
            f"engine: ray {api.__version__} is at {address}, where it should stay on loopback; "
            "install an older one, or give the --address of a cluster"
        )


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for this user only, with a path so short that sockets can lie in it."""
    base = tempfile.gettempdir()
    if len(os.fsencode(base + _INSIDE)) > _LONGEST_SOCKET:
        base = "/tmp"
    try:
        folder = Path(tempfile.mkdtemp(prefix="ray-", dir=base))
    except OSError as error:
        raise DataError(
            f"{base}: cannot be written ({error.strerror}); set TMPDIR to a folder that can"
        ) from None
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the folder, in which processes that are about to end may still be writing."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while folder.exists() and time.monotonic() < until:
        with suppress(OSError, DataError):
            remove_tree(inner_of(folder))
        if folder.exists():
            time.sleep(0.1)


@contextmanager
def _environment(told: Mapping[str, str | None]) -> Iterator[None]:
    """The environment as told, here and in all processes of the cluster, then as it was."""
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
    # Ray read them when it was loaded; in this order, since its threads ask for a token that the
    # mode wants, and end the process where there is none.
    raylet = importlib.import_module("ray._raylet")
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let Ray take loopback for this machine's address, as it does on systems without clusters.

    Every one of its servers then listens there alone. The variable says so to its other processes.
    """
    constants: Any = importlib.import_module("ray._private.ray_constants")
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before
