"""`answers`: what a job says, from a process of its own that can be ended at any time."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator

from weightspace.app.jobs import Failure, Job, Result, Said, Step

_KINDS = {"step": Step, "result": Result, "failure": Failure}
_LONGEST = 2**28  # bytes of a line
_ENDED = "the audit ended without an answer: it was cancelled, or the machine has no memory left"
_COMMAND = (sys.executable, "-P", "-m", "weightspace.app.worker")


async def answers(job: Job, seconds: float) -> AsyncGenerator[Said, None]:
    """Run a job in a new process.

    Leaving the iteration, or cancelling it, ends the process.

    Parameters
    ----------
    job : Job
        The job.
    seconds : float
        How long it may take.

    Yields
    ------
    Step, Result or Failure
        Steps, and at the end a result or a failure.
    """
    until = time.monotonic() + seconds
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **one_thread},
        start_new_session=True,  # Ctrl-C is for the server, which ends its workers itself
        limit=_LONGEST,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(job.to_dict()).encode() + b"\n")
        while True:
            line = await asyncio.wait_for(process.stdout.readline(), until - time.monotonic())
            said = _understood(line)
            yield said
            if not isinstance(said, Step):
                return
    except TimeoutError:
        yield Failure(f"it took more than {seconds:,.0f} seconds; audit it with the command line")
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.shield(process.wait())


def _understood(line: bytes) -> Said:
    if not line:
        return Failure(_ENDED)
    kind, *fields = json.loads(line)
    said: Said = _KINDS[kind](*fields)
    return said
