"""Processes to kill, stop and starve: copies of one in which all is loaded, so they start at once.

A fresh Python needs two seconds to load torch. Here one process loads it and does nothing else;
each `Copy` is a fork of it, in a process group of its own, and what it does to the disk, to
signals and to its children is what a command in a terminal does.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["support.loaded"])


class Copy:
    """A process that calls `act(*arguments, **options)`; used as one of `subprocess` is.

    `act` stands in a module that a fresh process can import: in `support` or in the package.
    """

    def __init__(
        self,
        act: Callable[..., object],
        *arguments: Any,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        folder = Path(tempfile.mkdtemp(prefix="copy-"))
        weakref.finalize(self, shutil.rmtree, folder)
        self._said = [folder / name for name in ("out", "err")]
        about = (partial(act, *arguments, **options), dict(env or {}), self._said)
        self._process = _CONTEXT.Process(target=_live, args=about)
        self._process.start()
        assert self._process.pid
        self.pid = self._process.pid
        with suppress(ProcessLookupError):  # it may have ended already
            while os.getpgid(self.pid) != self.pid:
                time.sleep(0.001)  # who signals the group is to find it

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"no end after {timeout} s")
        return self._process.exitcode

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """What it has said, on stdout and on stderr, once it has ended."""
        self.wait(timeout)
        return self.said(), self._said[1].read_text()

    def said(self) -> str:
        """What it has said on stdout so far."""
        return self._said[0].read_text() if self._said[0].exists() else ""

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def command(*typed: Any, env: Mapping[str, str] | None = None) -> Copy:
    """The command `weightspace` with these arguments."""
    return Copy(_command, [str(word) for word in typed], env=env)


def _command(typed: list[str]) -> None:
    from weightspace.cli import main

    sys.argv = ["weightspace", *typed]
    main()


def _live(act: Callable[[], object], env: dict[str, str], said: list[Path]) -> None:
    for path, descriptor in zip(said, (1, 2), strict=True):
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.update(env)
    os.setsid()
    act()
