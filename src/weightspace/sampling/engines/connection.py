"""A connection to a Ray cluster; the caller keeps control of the terminal and of signals."""

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
"""The longest time to wait for an answer of an address."""

LEAST = (2, 54)
"""The oldest usable Ray. In 2.52 and 2.53 one of the agents asks for no token."""

_START = "start one with `ray start --head`, or leave `address=` out"
_INSTALL = "install it with `pip install 'weightspace[ray]'`"


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The module `ray`, connected to a cluster.

    The cluster is the one at `address`, or else one that Ray finds, or else one that is started
    here. A cluster that is started here is private to this user and ends with the block. If this
    process is already connected, that connection is used and left open. Raises `UsageError` if Ray
    is not installed or no cluster answers.
    """
    api = _imported()
    with redirect_stdout(cast(TextIO, _WithoutRay(sys.stdout))):
        if api.is_initialized():
            there = api.get_runtime_context().gcs_address
            if address not in (None, "auto", there):
                raise UsageError(
                    "address",
                    f"this process is connected to {there} already",
                    "leave `address=` out, or call ray.shutdown() first",
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
    """The first line of an error of Ray. The other lines often fill a page."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


class _WithoutRay:
    """Standard output without the text of Ray's own threads, which no option of Ray silences."""

    def __init__(self, out: Any) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write the text, unless a thread of Ray asks for it."""
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._out.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)


def _imported() -> Any:
    # Ray reads these variables when it is loaded. The first makes its threads print at once, so
    # that their text can be recognized. The second turns off a warning about tasks without a GPU.
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        api = importlib.import_module("ray")
        importlib.import_module("ray.util.scheduling_strategies")
    except ImportError:
        raise UsageError("engine", "ray is not installed", _INSTALL) from None
    _refuse_old(api.__version__)
    return api


def _refuse_old(version: str) -> None:
    found = re.match(r"(\d+)\.(\d+)", version)
    if not found or (int(found[1]), int(found[2])) < LEAST:
        least = ".".join(map(str, LEAST))
        raise UsageError(
            "engine",
            f"ray {version} is installed, {least} or newer is needed, whose processes all ask "
            "for a token",
            _INSTALL,
        )


def _found(address: str | None) -> str | None:
    """The address of the requested cluster, or of one that Ray finds; None if there is none."""
    if address == "local":
        return None
    if address and address.startswith("ray://"):
        raise UsageError(
            "address",
            f"{address} is for Ray's client",
            "run on a node of the cluster with its HOST:PORT, `ray start --address=HOST:PORT "
            "--num-cpus=0` makes this machine one",
        )
    if address and address != "auto":
        _refuse_silent(address)
        return address
    services = importlib.import_module("ray._private.services")
    try:
        found: str | None = services.canonicalize_bootstrap_address(address)
    except ConnectionError as error:
        raise UsageError("address", first_line(error), _START) from None
    if found:
        _refuse_silent(found)
        # Ray would look for a token by itself if it were not given an address. It is given one,
        # because otherwise, if the found cluster ended at this moment, Ray would start a new
        # cluster that everyone can reach.
        setup = importlib.import_module("ray._private.authentication.authentication_token_setup")
        if enable := getattr(setup, "maybe_enable_token_auth_if_token_available", None):
            enable(warn_if_disabled=False)
    return found


def _connect(api: Any, options: Mapping[str, Any]) -> None:
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    # Ray would set the level of the root logger, which would silence other packages.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        api.init(**options, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError, api.exceptions.RayError) as error:
        if options["address"] == "local":
            raise UsageError(
                "engine",
                f"ray cannot start a cluster here ({first_line(error)})",
                "start one with `ray start --head` and give its `address=`, or "
                'use `engine="local"`',
            ) from None
        remedy = _START
        if "auth" in f"{error} {error.__cause__}".lower():
            remedy = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the cluster's token"
        raise UsageError("address", first_line(error), remedy) from None
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)  # Ray installs its own handler


def _refuse_silent(address: str) -> None:
    """Refuse an address that does not answer. Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except ValueError:
        raise UsageError("address", f"{address!r} is no HOST:PORT", _START) from None
    except OSError as error:
        why = error.strerror or error
        raise UsageError("address", f"no cluster answers at {address} ({why})", _START) from None
