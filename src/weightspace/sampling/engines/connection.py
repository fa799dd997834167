"""A connection to a Ray cluster that leaves the terminal and the signals to its caller."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO, cast

from weightspace.errors import UsageError

SECONDS = 10
"""How long an address may take to answer."""

_START = "start one with `ray start --head`, or leave --address out"


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The module `ray`, connected to the cluster at `address`, or found or started here.

    A connection that this process already has is used, and left open. Raises `UsageError` where
    Ray is not installed or no cluster answers.
    """
    api = _imported()
    ours = not api.is_initialized()
    with redirect_stdout(cast(TextIO, _WithoutRay(sys.stdout))):
        if ours:
            _connect(api, address or os.environ.get("RAY_ADDRESS"))
        elif address not in (None, "auto", there := api.get_runtime_context().gcs_address):
            raise UsageError(
                f"address: this process is connected to {there} already; leave --address out, or "
                "call ray.shutdown() first"
            )
        try:
            yield api
        finally:
            if ours:
                api.shutdown()


def first_line(error: BaseException) -> str:
    """An error of Ray's in one line; what follows is often a page."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


class _WithoutRay:
    """Standard output without what Ray's own threads print there, whatever they are told."""

    def __init__(self, out: Any) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write, if it is not Ray that asks."""
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._out.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)


def _imported() -> Any:
    # Read when Ray is loaded. Its threads are to print at once, where they can be told from
    # others; and it is not to warn of what a later version will tell tasks that have no GPU.
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        api = importlib.import_module("ray")
        importlib.import_module("ray.util.scheduling_strategies")
    except ImportError:
        raise UsageError(
            "engine: ray is not installed; install it with `pip install 'weightspace[ray]'`"
        ) from None
    return api


def _connect(api: Any, address: str | None) -> None:
    if address and address.startswith("ray://"):
        raise UsageError(
            f"address: {address} is for Ray's client; run on a node of the cluster with its "
            "HOST:PORT, `ray start --address=HOST:PORT --num-cpus=0` makes this machine one"
        )
    if address and address not in ("auto", "local"):
        _refuse_silent(address)
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    # Ray would set the root logger's level, and with it silence what others have to say.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        api.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError, api.exceptions.RayError) as error:
        remedy = _START
        if "auth" in f"{error} {error.__cause__}".lower():
            remedy = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the cluster's token"
        raise UsageError(f"address: {first_line(error)}; {remedy}") from None
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)  # Ray puts its own there


def _refuse_silent(address: str) -> None:
    """Ray itself would wait for minutes where nothing answers."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except ValueError:
        raise UsageError(f"address: {address!r} is no HOST:PORT; {_START}") from None
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"address: no cluster answers at {address} ({why}); {_START}") from None
