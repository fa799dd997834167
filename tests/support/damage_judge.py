"""A judge of damaged checkpoints, in a process of its own: what the reader makes of each.

The judge makes a damaged file of a name and a seed, inspects and reads it, and answers with a line
of JSON, then with one about the library that reads such files too. A reader that dies or hangs, or
takes more memory than there is, is an answer as well. `python -m support.damage_judge FOLDER` is
the process.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from support.damage import Damaged, Ranges, damaged
from support.other_readers import READERS, Arrays
from support.whole_files import NAMES, Files, Whole, whole
from weightspace.checkpoints import inspect, read_checkpoint
from weightspace.checkpoints.files import read_contents, read_file
from weightspace.checkpoints.tensors import Tensor, Values
from weightspace.errors import DataError

PATIENCE = 30  # seconds of a busy machine after which a reader hangs
SECONDS = 2.0  # of a processor, for each of inspect and read_checkpoint
ALWAYS = 2**23  # bytes that a reader may take for a file of any size; most take 0.3 MB
MEMORY = 2**29  # bytes of the process beyond what it has when a reader begins
_FLOATS = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
_SMALL = 2**16


class Judge:
    """The process that judges; a new one takes its place if it dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.grown = 0
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "support.damage_judge", str(self.folder)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=_environment())
        self._waiting = b""
        if "ready" not in self._line():
            raise AssertionError("a sound file is not read as it should be")

    def of(self, name: str, seed: int) -> dict[str, Any]:
        """The verdict on one damaged file: `wrong` is empty where nothing is."""
        assert self._process.stdin
        self._process.stdin.write(f"{seed} {name}\n".encode())
        self._process.stdin.flush()
        verdict = self._line()
        other: dict[str, Any] = {"other": ""}
        if "wrong" in verdict:  # of the reader; the other library may die as it likes
            other = self._line()
        else:
            verdict |= {"wrong": verdict["death"], "doubt": "", "read": False, "inside": False}
        if "death" in verdict | other:
            self._start()
        return verdict | {"other": other.get("other", "dies")}

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout
        ready = True
        while b"\n" not in self._waiting and ready:
            ready = bool(select.select([self._process.stdout], [], [], PATIENCE)[0])
            data = os.read(self._process.stdout.fileno(), 2**16) if ready else b""
            if not data:
                break
            self._waiting += data
        line, end, rest = self._waiting.partition(b"\n")
        if end:
            self._waiting = rest
            return json.loads(line)
        self._process.kill()
        code = self._process.wait()
        return {"death": f"no answer after {PATIENCE} s" if not ready else f"ended with {code}"}

    def close(self) -> None:
        """End the process; `grown` is by how many bytes its memory grew, and did not shrink."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        self._process.stdin.close()
        self.grown = max(self.grown, self._line().get("grown", 0))
        self._process.wait()
        self._process.stdout.close()


_PIECE = 2**20


def _environment() -> dict[str, str]:
    """That of this process, in which `support` is found."""
    paths = [str(Path(__file__).parents[1]), *sys.path]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


# ---- what is true of a sound file


@dataclass
class Truth:
    """What stands in a sound file, and where.

    `ranges` are the bytes of each tensor that stands in a file as it is, `pieces` their contents.
    """

    tensors: Arrays
    order: str
    found: dict[str, Tensor] = field(default_factory=dict)
    ranges: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    pieces: list[tuple[str, bytes]] = field(default_factory=list)

    @functools.cached_property
    def known(self) -> np.ndarray:
        """The bits of all values, sorted, without their signs."""
        return np.unique(np.concatenate([_magnitudes(v) for _, v in self.tensors.values()]))

    def knows(self, values: np.ndarray) -> bool:
        """Whether all values are some of the sound file."""
        if any(v.shape == values.shape and _same(v, values) for _, v in self.tensors.values()):
            return True
        wanted = _magnitudes(values)
        at = np.searchsorted(self.known, wanted)
        return bool((self.known[np.minimum(at, len(self.known) - 1)] == wanted).all())

    @functools.cached_property
    def values(self) -> Ranges:
        """All places of values."""
        return sorted(set(self.ranges.values()))


def truth(sound: Whole, path: Path) -> Truth:
    """What a sound file says, and where its values lie."""
    with read_file(path) as stored:
        made = Truth({}, stored.values.order)
        for name, tensor in stored.tensors.items():
            made.tensors[name] = (tensor.dtype_name, _values(stored.values, tensor))
            storage = tensor.storage
            if tensor.compute is not None or storage is None or not tensor.size:
                continue
            width = tensor.dtype.itemsize
            first, length = tensor.offset * width, tensor.span * width
            if storage.data is not None:
                raw = bytes(storage.data[first : first + length])
            else:
                file: Any = storage.file or stored.values.file
                file.seek(storage.position + first)
                raw = file.read(length)
            # The position counts from a part of the file, or another file; values stand there once.
            known = max(storage.position, 0) + first
            places = [
                (n, known if data[known : known + length] == raw else data.find(raw))
                for n, data in sound.files.items()
                if raw in data
            ]
            if len(places) != 1:
                raise AssertionError(f"{sound.name}: {name} is in {len(places)} files")
            ((file_name, at),) = places
            made.ranges[name] = (file_name, at, at + length)
            made.pieces.append((file_name, raw))
            made.found[name] = tensor
    return made


def _values(values: Values, tensor: Tensor) -> np.ndarray:
    out = np.full(tensor.size, np.nan, np.float32)
    if not tensor.dtype.complex:
        values.into(tensor, out)
    return out.reshape(tensor.shape)


# ---- the verdict


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """`MEMORY` for the readers alone: the judge's own copies and comparisons are not held to it."""
    taken = _memory()[0]
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _memory() -> tuple[int, int]:
    """The bytes of addresses that this process has, and of memory that it holds."""
    addresses, held, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return addresses * resource.getpagesize(), held * resource.getpagesize()


def measured(call: Callable[[], Any], size: int) -> tuple[Any, str, str, dict[str, float]]:
    """What a call gives for so many bytes, why it refuses, what is wrong, and what it took."""
    found, refused, wrong = None, "", ""
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    begin = time.process_time()
    try:
        found = call()
    except DataError as error:
        refused = str(error)
        if len(refused.splitlines()) != 1 or not refused.isprintable() or len(refused) > 4000:
            wrong = f"no line: {refused[:500]!r}"
    except BaseException as error:  # whatever it is: it is what the test is about
        wrong = f"{type(error).__name__}: {error}"
    seconds = time.process_time() - begin
    taken = tracemalloc.get_traced_memory()[1] - before
    result = found.vector.nbytes if hasattr(found, "vector") else 0
    if seconds > SECONDS:
        wrong = wrong or f"took {seconds:.1f} s"
    if taken > 2 * size + result + ALWAYS:
        wrong = wrong or f"took {taken:,} bytes for {size:,}, and {result:,} of values"
    return found, refused, wrong, {"seconds": seconds, "taken": taken - result, "size": size}


def verdict(sound: Whole, right: Truth, made: Damaged, path: Path) -> tuple[dict[str, Any], Arrays]:
    """What is wrong with the readings of a damaged file, and the values that were read."""
    size = max(sum(map(len, made.files.values())), _unpacked(path))
    found: Arrays = {}
    direct: set[str] = set()
    with little_memory():
        _, first, wrong, took = measured(lambda: inspect(path), size)
        read, second, also, more = measured(lambda: read_checkpoint(path, finite=False), size)
        wrong = wrong or also
        try:
            with read_file(path) as stored:
                for name, tensor in stored.tensors.items():
                    found[name] = (tensor.dtype_name, _values(stored.values, tensor))
                    direct |= {name} if tensor.compute is None else set()
        except DataError:
            found = {}
        except BaseException as error:
            wrong = wrong or f"read_file: {type(error).__name__}: {error}"
    doubt = ""
    if found and not wrong:
        wrong = _misread(sound, right, made, found, direct)
        doubt = "" if wrong else _moved(sound, right, made, found, direct)
    answer = {
        "wrong": wrong,
        "doubt": doubt,
        "read": bool(found),
        "inspected": not first,
        "refused": second if read is None else "",
        "seconds": max(took["seconds"], more["seconds"]),
        "taken": max(took["taken"], more["taken"]),
        "size": took["size"],
        "inside": made.inside is not None,
    }
    return answer, found


def _unpacked(path: Path) -> int:
    """The bytes of what a file says that it holds, unpacked; 0 if it is not read."""
    try:
        with read_contents(path) as (_, size):
            return size
    except Exception:  # `verdict` says what comes of it
        return 0


def _misread(sound: Whole, right: Truth, made: Damaged, found: Arrays, direct: set[str]) -> str:
    """In what a reading is none of the file; empty if it is one."""
    if made.inside is not None and made.files != sound.files:
        if sound.checked:
            return "values are damaged, and their checksum is not looked at"
        return _other_values(right, made, found)
    size = sum(map(len, made.files.values()))
    deflated = any(b"PK\3\4\x14\0\0\0\x08\0" in data for data in made.files.values())
    for name, (dtype, values) in found.items():
        seen = dtype in _FLOATS and name in direct and size < _SMALL and not deflated
        if seen and values.size and not _stand(values, dtype, made.files):
            return f"{name} has values that stand nowhere in the file"
    return ""


def _moved(sound: Whole, right: Truth, made: Damaged, found: Arrays, direct: set[str]) -> str:
    """Which values are none of the sound file, all of which are whole; empty if all are some."""
    if made.inside is not None or made.mixed or not _whole(sound, right, made):
        return ""
    # Whatever the description became: what is read are values of the file, none from between them.
    for name, (dtype, values) in found.items():
        seen = name in direct and dtype == right.tensors.get(name, (dtype,))[0] and dtype in _FLOATS
        if seen and not any(right.knows(one) for one in (values, values.byteswap())):
            return f"{name} has values that are none of the sound file"
    return ""


def _whole(sound: Whole, right: Truth, made: Damaged) -> bool:
    """Whether the bytes of all values are still there; in their places, if places are numbered."""
    main = next(iter(sound.files))
    if any(made.files[name] != data for name, data in sound.files.items() if name != main):
        return False
    if sound.family in ("hdf5", "gguf"):
        return all(
            made.files[main][start:end] == sound.files[main][start:end]
            for _, start, end in right.ranges.values()
        )
    return all(made.files[f].count(raw) >= sound.files[f].count(raw) for f, raw in right.pieces)


def _other_values(right: Truth, made: Damaged, found: Arrays) -> str:
    """Whether all tensors are as their bytes are now, where nothing but values was hit."""
    for name, (dtype, values) in right.tensors.items():
        now = found.get(name)
        if now is None or now[0] != dtype or now[1].shape != values.shape:
            return f"{name} is no longer the tensor that it was"
        expected = values
        if name in right.ranges:
            file, start, end = right.ranges[name]
            raw = made.files[file][start:end]
            tensor = right.found[name]
            assert tensor.storage is not None
            bare = replace(tensor.storage, data=raw, file=None)
            again = replace(tensor, storage=bare, offset=0)
            expected = _values(Values(io.BytesIO(), right.order), again)
        elif any(hit not in _covered(right, hit) for hit in made.inside or ()):
            continue
        if not _same(expected, now[1]):
            return f"{name} has other values than its bytes"
    return ""


def _covered(right: Truth, hit: tuple[str, int, int]) -> list[tuple[str, int, int]]:
    name, start, end = hit
    return [hit for file, a, b in right.ranges.values() if file == name and a <= start and end <= b]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether all bytes are equal, piece by piece."""
    one, other = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b))
    return len(one) == len(other) and all(
        np.array_equal(one[start : start + _PIECE], other[start : start + _PIECE])
        for start in range(0, len(one), _PIECE)
    )


def _magnitudes(values: np.ndarray) -> np.ndarray:
    """The bits of all numbers but NaN, without their signs."""
    with np.errstate(over="ignore", invalid="ignore"):
        flat = values.reshape(-1).astype(np.float32)
    return flat[~np.isnan(flat)].view(np.uint32) & 0x7FFFFFFF


def _stand(values: np.ndarray, dtype: str, files: Files) -> bool:
    """Whether all values are somewhere in the files, at any byte and in any order of bytes."""
    wanted = np.unique(_magnitudes(values))
    wanted = wanted[wanted != 0]
    width = _FLOATS[dtype]
    for data in files.values():
        raw = np.frombuffer(data, np.uint8)
        if len(raw) < width:
            continue
        rows = np.lib.stride_tricks.sliding_window_view(raw, width)
        for order in (rows, rows[:, ::-1]):
            plain = np.ascontiguousarray(order)
            if dtype == "bfloat16":
                held = (plain.view("<u2").astype(np.uint32) << 16).view(np.float32)
            else:
                held = plain.view(f"<f{width}")
            wanted = wanted[~np.isin(wanted, _magnitudes(held))]
    return not len(wanted)


def compared(sound: Whole, made: Damaged, path: Path, right: Truth, found: Arrays) -> str:
    """What another library makes of the file: "same", "refuses", or how it differs."""
    if not found or sound.like not in READERS:
        return ""
    reader = READERS[sound.like]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = reader.read(path)
        except Exception:
            theirs = None
    if theirs is not None:
        return reader.wrong(found, theirs) or "same"
    return "refuses"


def main(folder: Path) -> None:
    """Judge what each line asks for: a seed and a name."""
    truths: dict[str, Truth] = {}
    paths: dict[str, Path] = {}
    for number, name in enumerate(NAMES):
        paths[name] = folder / str(number) / next(iter(whole(name).files))
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        _write(paths[name], whole(name).files)
        truths[name] = truth(whole(name), paths[name])
        said, found = verdict(whole(name), truths[name], Damaged(whole(name).files), paths[name])
        other = compared(whole(name), Damaged(whole(name).files), paths[name], truths[name], found)
        if said["wrong"] or other not in ("same", ""):
            raise AssertionError((name, said, other))
    tracemalloc.start()  # once: each start and stop keeps some of the memory of this process
    print(json.dumps({"ready": True}), flush=True)
    before = _memory()[1]
    for line in sys.stdin:
        seed, _, name = line.strip().partition(" ")
        if not seed:
            break
        sound, right, path = whole(name), truths[name], paths[name]
        made = damaged(sound, right.values, int(seed))
        _write(path, made.files)
        said, found = verdict(sound, right, made, path)
        print(json.dumps(said), flush=True)
        other = compared(sound, made, path, right, found)
        print(json.dumps({"other": other}), flush=True)
        if said["wrong"] or said["doubt"]:  # to be looked at
            shutil.copytree(path.parent, folder / f"{name}, seed {seed}", dirs_exist_ok=True)
        _write(path, {key: sound.files[key] for key in made.files})
    print(json.dumps({"grown": _memory()[1] - before}), flush=True)


def _write(path: Path, files: Files) -> None:
    for name, data in files.items():
        (path.parent / name).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
