"""A small zoo, changes to the bytes of its files, and a judge of what the reader makes of them.

The judge works in a process of its own, with limited memory: a parser that crashes, hangs or
takes all memory is an answer too, and ends the test that asked, not the test run.
`python hostile_files.py FOLDER` judges the zoo at FOLDER/zoo once for every line it is sent,
against FOLDER/sound, and answers with a line of JSON.
"""

from __future__ import annotations

import json
import re
import resource
import select
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import small_units
from weightspace.errors import DataError
from weightspace.zoo import Round, Zoo, check
from weightspace.zoo.format import index

MEMORY = 2**30  # bytes that a judge may take beyond what it has after its first zoo
PATIENCE = 20  # seconds for one zoo; it takes 0.05


def make(path: Path, dtype: str) -> Path:
    """Two units, a round and an index, written as any zoo is."""
    writer = small_units.open_writer(path, dtype)
    writer.begin(1, Round.of(range(2 * small_units.NETS), {"digits": "0" * 16}, {"cores": 1}))
    for unit in (0, 1):
        small_units.write(writer, unit)
    index.write(path)
    return path


@dataclass(frozen=True)
class Change:
    """What happens to the bytes of a file: `kind`, `at` (0..1 of its length) and a number."""

    kind: str
    at: float
    number: int

    def of(self, data: bytes) -> bytes:
        """The changed bytes."""
        at = min(int(self.at * len(data)), max(len(data) - 1, 0))
        n = self.number
        if self.kind == "byte":
            return data[:at] + bytes([n % 256]) + data[at + 1 :]
        if self.kind == "bit":
            return data[:at] + bytes(b ^ (1 << n % 8) for b in data[at : at + 1]) + data[at + 1 :]
        if self.kind == "cut":
            return data[:at]
        if self.kind == "lose":
            return data[:at] + data[at + 1 + n % 64 :]
        if self.kind == "repeat":
            return data[:at] + 2 * data[at : at + 1 + n % 64] + data[at + 1 + n % 64 :]
        if self.kind == "move":  # bytes from elsewhere in the file over these
            piece = data[n % max(len(data), 1) :][:16]
            return data[:at] + piece + data[at + len(piece) :]
        if self.kind == "zero":
            return data[:at] + bytes(min(1 + n % 64, len(data) - at)) + data[at + 1 + n % 64 :]
        if self.kind == "extreme":  # the next number, in text or as 8 bytes
            return _extreme(data, at, n)
        raise ValueError(self.kind)


KINDS = ("byte", "bit", "cut", "lose", "repeat", "move", "zero", "extreme")
_EXTREMES = (0, -1, 1, 2**31 - 1, 2**31, 2**32, 10**12, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**400)


def _extreme(data: bytes, at: int, n: int) -> bytes:
    value = _EXTREMES[n % len(_EXTREMES)]
    if n % 2 and (found := re.compile(rb"-?\d+").search(data, at)):
        return data[: found.start()] + str(value).encode() + data[found.end() :]
    return data[:at] + (value % 2**64).to_bytes(8, "little") + data[at + 8 :]


class Judge:
    """A process that opens the zoo at `folder/zoo` and tells what came of it.

    `died` is how often it did not live to tell.
    """

    def __init__(self, folder: Path, dtype: str = "float32") -> None:
        self.sound = make(folder / "sound", dtype)
        self.folder = folder
        self.zoo = shutil.copytree(self.sound, folder / "zoo")
        self.files = sorted(p.relative_to(self.zoo) for p in self.zoo.rglob("*") if p.is_file())
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-W", "error", __file__, str(self.folder)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.ask()  # the sound zoo: all is imported before the memory is limited

    def of(self, changes: list[tuple[Path, Change]]) -> dict[str, Any]:
        """The verdict on the zoo with these changes, which are undone afterwards."""
        try:
            for file, change in changes:
                path = self.zoo / file
                path.write_bytes(change.of(path.read_bytes()))
            return self.ask()
        finally:
            for file, _ in changes:
                shutil.copyfile(self.sound / file, self.zoo / file)

    def ask(self) -> dict[str, Any]:
        """One verdict: `wrong` is empty where nothing is, `refused` says why nothing was read."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self._process.kill()
        code = self._process.wait()
        self._start()
        return {"wrong": f"no answer after {PATIENCE} s" if not ready else f"ended with {code}"}

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class _Truth:
    """What the sound zoo says, in memory."""

    def __init__(self, path: Path) -> None:
        zoo = Zoo(path)
        self.nets, self.snapshots, self.rounds, self.meta = _tables(zoo)
        self.layouts = {net: zoo.layout(net) for net in self.nets["net"]}
        keys = self.snapshots.select("net", "snapshot").rows()
        self.vectors = {key: zoo.vector(*key).tobytes() for key in keys}
        self.slices = _slices(zoo)


def _tables(zoo: Zoo) -> tuple[Any, ...]:
    return zoo.nets, zoo.snapshots, zoo.rounds, zoo.meta


def _slices(zoo: Zoo) -> bytes:
    return zoo.slices(40, 7, seed=1).values.tobytes()


def verdict(path: Path, truth: _Truth) -> dict[str, Any]:
    """What opening, checking and reading the zoo came to."""
    try:
        findings = check(path, full=True)
    except DataError as error:
        return {"wrong": f"check: {error}"}
    named = {finding.thing for finding in findings if finding.severity == "error"}
    try:
        zoo = Zoo(path)
        tables = _tables(zoo)
        spoilt = {key for key, data in truth.vectors.items() if zoo.vector(*key).tobytes() != data}
        layouts = {net: zoo.layout(net) for net in truth.layouts}
        sliced = _slices(zoo)
    except DataError as error:
        return {"wrong": _ill_put(str(error), path, named), "refused": str(error)}
    names = ("nets", "snapshots", "rounds", "zoo.json")
    true = (truth.nets, truth.snapshots, truth.rounds, truth.meta)
    for name, found, right in zip(names, tables, true, strict=True):
        if not (found.equals(right) if hasattr(found, "equals") else found == right):
            return {"wrong": f"{name} is read as something else"}
    if layouts != truth.layouts:
        return {"wrong": "a layout is read as something else"}
    if (spoilt or sliced != truth.slices) and not any(n.startswith("shards/") for n in named):
        return {"wrong": f"values of {min(spoilt)} are others and check does not see it"}
    return {"wrong": "", "seen": bool(named)}


def _ill_put(message: str, path: Path, named: set[str]) -> str:
    if len(message.splitlines()) != 1 or str(path) not in message or "; " not in message:
        return f"no line that names file and remedy: {message!r}"
    return "" if named else f"check sees nothing wrong: {message}"


def main(folder: Path) -> None:
    """Judge the zoo once for every line, the first time without a limit of memory."""
    truth = _Truth(folder / "sound")
    for number, _ in enumerate(sys.stdin):
        try:
            answer = verdict(folder / "zoo", truth)
        except BaseException as error:  # whatever it is: it is what the test is about
            answer = {"wrong": f"{type(error).__name__}: {error}"}
        if not number:
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
