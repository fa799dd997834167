"""A connection to a Ray cluster that leaves the terminal and the signals to its caller."""

from __future__ import annotations

import importlib
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any, TextIO, cast

from weightspace.errors import UsageError
from weightspace.sampling.engines.private import privacy, refuse_public

SECONDS = 10
"""How long an address may take to answer."""

LEAST = (2, 54)
"""The first Ray all of whose processes ask for a token: 2.52 and 2.53 forget one of the agents'."""

_START = "start one with `ray start --head`, or leave --address out"
_INSTALL = "install it with `pip install 'weightspace[ray]'`"


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The module `ray`, connected to the cluster at `address`, or found or started here.

    One that is started here is private to this user, and ends with the block. A connection that
    this process already has is used, and left open. Raises `UsageError` where Ray is not installed
    or no cluster answers.
    """
    api = _imported()
    with redirect_stdout(cast(TextIO, _WithoutRay(sys.stdout))):
        if api.is_initialized():
            there = api.get_runtime_context().gcs_address
            if address not in (None, "auto", there):
                raise UsageError(
                    f"address: this process is connected to {there} already; leave --address out, "
                    "or call ray.shutdown() first"
                )
            yield api
            return
        found = _found(address or os.environ.get("RAY_ADDRESS"))
        with nullcontext({"address": found}) if found else privacy() as options:
            try:
                _connect(api, options)
                if not found:
                    refuse_public(api)
                yield api
            finally:
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
        raise UsageError(f"engine: ray is not installed; {_INSTALL}") from None
    _refuse_old(api.__version__)
    return api


def _refuse_old(version: str) -> None:
    found = re.match(r"(\d+)\.(\d+)", version)
    if not found or (int(found[1]), int(found[2])) < LEAST:
        least = ".".join(map(str, LEAST))
        raise UsageError(
            f"engine: ray {version} is installed, {least} or newer is needed, whose processes all "
            f"ask for a token; {_INSTALL}"
        )


def _found(address: str | None) -> str | None:
    """Where the cluster is that is asked for, or that Ray finds; None where none is to be found."""
    if address == "local":
        return None
    if address and address.startswith("ray://"):
        raise UsageError(
            f"address: {address} is for Ray's client; run on a node of the cluster with its "
            "HOST:PORT, `ray start --address=HOST:PORT --num-cpus=0` makes this machine one"
        )
    if address and address != "auto":
        _refuse_silent(address)
        return address
    services = importlib.import_module("ray._private.services")
    try:
        found: str | None = services.canonicalize_bootstrap_address(address)
    except ConnectionError as error:
        raise UsageError(f"address: {first_line(error)}; {_START}") from None
    if found:
        _refuse_silent(found)
        # Ray would do so itself, were it not told where what it found is. It is told, or it would
        # start a cluster for all to reach where that one ends at this very moment.
        setup = importlib.import_module("ray._private.authentication.authentication_token_setup")
        if enable := getattr(setup, "maybe_enable_token_auth_if_token_available", None):
            enable(warn_if_disabled=False)
    return found


def _connect(api: Any, options: Mapping[str, Any]) -> None:
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    # Ray would set the root logger's level, and with it silence what others have to say.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        api.init(**options, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError, api.exceptions.RayError) as error:
        if options["address"] == "local":
            raise UsageError(
                f"engine: ray cannot start a cluster here ({first_line(error)}); start one with "
                "`ray start --head` and give its --address, or use --engine local"
            ) from None
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
