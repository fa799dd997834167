"""`answers`: what a job says, from a process of its own that can be ended at any time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress

from weightspace.app.jobs import Failure, Job, Result, Said, Step

_KINDS = {"step": Step, "result": Result, "failure": Failure}
_LONGEST = 2**28  # bytes of a line
_ENDED = "it ended without an answer; the machine may have no memory left"
CANCELLED = "cancelled; the file was removed"
_COMMAND = (sys.executable, "-P", "-m", "weightspace.app.worker")


async def answers(
    job: Job, seconds: float, stop: asyncio.Event | None = None
) -> AsyncGenerator[Said, None]:
    """Run a job in a new process.

    Leaving the iteration, or cancelling it, ends the process.

    Parameters
    ----------
    job : Job
        The job.
    seconds : float
        How long it may take.
    stop : asyncio.Event, optional
        Ends the process when it is set.

    Yields
    ------
    Step, Result or Failure
        Steps, and at the end a result or a failure.
    """
    until = time.monotonic() + seconds
    # One core: others run at the same time.
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1")
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **limits},
        start_new_session=True,  # Ctrl-C is for the server, which ends its workers itself
        limit=_LONGEST,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(job.to_dict()).encode() + b"\n")
        while True:
            reading = process.stdout.readline()
            said = await _said(reading, until - time.monotonic(), stop or asyncio.Event())
            if said is None:
                said = Failure(f"it took more than {seconds:,.0f} seconds; use the command line")
            yield said
            if not isinstance(said, Step):
                return
    finally:
        if process.returncode is None:
            _kill(process)
        await asyncio.shield(process.wait())


def _kill(process: asyncio.subprocess.Process) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    # Not `process.kill`, which may reap a process that asyncio waits for. It leads its own group.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _said(
    reading: Coroutine[None, None, bytes], left: float, stop: asyncio.Event
) -> Said | None:
    """What the next line says; None if there is none in the time that is left."""
    line, stopped = asyncio.ensure_future(reading), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({line, stopped}, timeout=max(left, 0), return_when="FIRST_COMPLETED")
        if line.done():
            return _understood(line.result())
        return Failure(CANCELLED) if stopped.done() else None
    finally:
        line.cancel()
        stopped.cancel()


def _understood(line: bytes) -> Said:
    if not line:
        return Failure(_ENDED)
    kind, *fields = json.loads(line)
    said: Said = _KINDS[kind](*fields)
    return said
