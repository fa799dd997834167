"""Commands that write, each killed with SIGKILL at a chosen one of its changes to the disk.

`python deaths.py` is a server: it loads what the commands need and uses none of it, so that a copy
of itself (a fork) starts at once and clean. A line of JSON `[count, task, arguments]` has a copy do
the task and be killed at the change after `count` of them; the answer is a line with its exit code
(-9, or 0 where the task ended first) and how many changes it made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from support import killing


def _publish(zoo: str, out: str) -> None:
    from weightspace.interop import publish

    publish(zoo, "a/b", out, licence="mit", dry_run=True)


def _export(zoo: str, out: str) -> None:
    from weightspace.interop import export_zoo

    export_zoo(zoo, out, "safetensors")


def _add(folder: str, out: str) -> None:
    from weightspace.interop import add

    add(folder, out)


def _index(zoo: str) -> None:
    from weightspace.zoo import write_index

    write_index(zoo)


def _fit(model: str, out: str) -> None:
    from weightspace.meta import Model

    Model.load(model).save(out)


def _network(kept: str, out: str) -> None:
    from weightspace.learners.neural import Patches

    Patches.load(kept).save(out)


def _evaluate(kept: str, out: str) -> None:
    from weightspace.meta import Evaluation

    Evaluation.read(kept).to_parquet(out)


def _dissect(kept: str, out: str) -> None:
    from weightspace.dissection import Dissection

    Dissection.load(kept).save(out)


TASKS: dict[str, Any] = killing.TASKS | {
    "publish": _publish,
    "export": _export,
    "add": _add,
    "index": _index,
    "fit": _fit,
    "network": _network,
    "evaluate": _evaluate,
    "dissect": _dissect,
}


class Server:
    """The process that dies copies."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=pipe,
            stdout=pipe,
            text=True,
            env=os.environ | quiet | {"POLARS_MAX_THREADS": "1"},
        )

    def __call__(self, count: int, task: str, *arguments: Any) -> tuple[int, int]:
        """Exit code and changes of a copy that does the task."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([count, task, arguments]) + "\n")
        self._process.stdin.flush()
        code, changes = json.loads(self._process.stdout.readline())
        return code, changes

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _copy(count: int, task: str, arguments: list[Any], told: int) -> None:
    """In the copy: do the task, and say how many changes it made if it lives to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with killing.killed_at(count, really=True) as made:
        TASKS[task](*arguments)
    os.write(told, json.dumps(made()).encode())
    os._exit(0)


def _serve() -> None:
    for line in sys.stdin:
        count, task, arguments = json.loads(line)
        hear, told = os.pipe()
        child = os.fork()
        if not child:
            try:
                _copy(count, task, arguments, told)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
        os.close(told)
        _, status = os.waitpid(child, 0)
        with os.fdopen(hear) as heard:
            text = heard.read()
        print(json.dumps([os.waitstatus_to_exitcode(status), int(text or 0)]), flush=True)


if __name__ == "__main__":
    import weightspace.dissection
    import weightspace.interop
    import weightspace.learners.neural
    import weightspace.meta.model.model  # noqa: F401 - nothing is loaded in a copy

    _serve()
