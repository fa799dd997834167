"""The process of one job: it reads a `Job` from standard input, and says what it finds.

It is started as `python -P -m weightspace.app.worker`. Each line of its output is a list: "step",
"result" or "failure", and the fields of the class of that name. It ends when its standard input is
closed, so that no audit outlives the server.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from weightspace.app.jobs import HUB, Job
from weightspace.disk import InnerPath
from weightspace.errors import WeightspaceError

Say = Callable[..., None]
_UNPACKED = "unpacked"


def main() -> None:
    """Do one job."""
    out, sys.stdout = sys.stdout, sys.stderr  # what others print is not an answer

    def say(*said: Any) -> None:
        print(json.dumps(said), file=out, flush=True)

    job = Job.of(json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    _limit(job.memory)
    _enter(job.folder)
    try:
        _work(job, say)
    except WeightspaceError as error:
        say("failure", str(error))
    except MemoryError:
        say("failure", "not enough memory for this file; use the command line")
    except Exception as error:  # a bug: one line for the visitor, the traceback for the server
        traceback.print_exc()
        say("failure", f"{type(error).__name__}; this is a bug of weightspace")
    os._exit(0)  # without waiting for the thread


def _end_with_the_server() -> None:
    sys.stdin.read()
    os._exit(1)


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _enter(folder: str) -> None:
    """Work in the folder of the job, and import nothing from there."""
    sys.path[:] = [str(Path(place).absolute()) for place in sys.path]
    os.chdir(folder)


def _work(job: Job, say: Say) -> None:
    say("step", "reading the file", 0, 1)
    {"audit": _audit, "compare": _compare, "explore": _explore}[job.kind](job, say)


def _audit(job: Job, say: Say) -> None:
    from weightspace.audit import Claims, audit, claims_in, read_claims
    from weightspace.audit.formats import FORMATS, Outcome
    from weightspace.report import audit_page
    from weightspace.report.auditing.words import headline

    card = job.card.strip()
    claims = Claims()
    if card:
        claims = read_claims(card) if card.startswith(HUB) else claims_in(job.card)
    found = audit(
        job.files[0],
        claims,
        data=job.data or None,
        seeds=job.seeds,
        key=job.key(0),
        hashed=True,
        traced=True,
        progress=lambda *step: say("step", *step),
    )
    said = (card if card.startswith(HUB) else "its card") if card else ""
    document = FORMATS["json"]([Outcome(found.file, found, card=said)])
    say("result", headline(found), audit_page(found, said), document)


def _compare(job: Job, say: Say) -> None:
    from weightspace.evidence import compare
    from weightspace.report import comparison_page
    from weightspace.report.claims.words import sentence

    found = compare(*job.files, key=job.key(0), other_key=job.key(1))
    if job.files[0].startswith("A/"):
        found = dataclasses.replace(found, first=job.files[0].removeprefix("A/"))
    if job.files[1].startswith("B/"):
        found = dataclasses.replace(found, second=job.files[1].removeprefix("B/"))
    document = json.dumps(found.to_dict(), indent=1, default=str)
    said = " ".join((f"{sentence(found.verdict)}.", *found.says[:1]))
    say("result", said, comparison_page(found), document)


def _explore(job: Job, say: Say) -> None:
    from weightspace.app.archives import unpack
    from weightspace.report import explorer_page
    from weightspace.report.claims.words import count
    from weightspace.zoo import Zoo

    def step(*values: Any) -> None:
        say("step", *values)

    here = InnerPath(Path.cwd())
    archive = InnerPath(here.root, PurePosixPath(job.files[0]).parts)
    found = unpack(archive, here / _UNPACKED, job.unpacked, step)
    zoo = Zoo(Path(*found.parts))  # messages shall not tell where the server keeps it
    page = explorer_page(zoo, most_nets=job.nets, progress=step)
    nets = zoo.nets.height
    some = f"{job.nets:,} of " if nets > job.nets else ""
    said = f"{some}{count(nets, 'net')} of the space {zoo.space.name}"
    say("result", said, page, "")


if __name__ == "__main__":
    main()
