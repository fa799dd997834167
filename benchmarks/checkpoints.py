"""Reading checkpoints of each format, and the time and memory that it takes.

One made-up net (a residual net of CIFAR, 11 million values, 44.7 MB as float32) is written in each
format. Then, in turns, `--rounds` times, in a new process each: `inspect` without the SHA-256,
`inspect`, `read_checkpoint`, and the library that owns the format, reading all its tensors. The
time is that of the call alone, without imports. The memory is the greatest resident set of the
process, less that before the call. Medians are printed.

The command lines are timed as well: `weightspace inspect FILE` and `weightspace predict MODEL FILE`
against `python -c "import torch"`.

    pip install h5py onnx gguf flax            # what is missing is left out
    python benchmarks/checkpoints.py --model MODEL
"""

from __future__ import annotations

import argparse
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

ASK = """
import json, re, sys, time
way, path = sys.argv[1:]
{setup}
def most():  # of this process; that of getrusage begins with its parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = most()
start = time.perf_counter()
{call}
seconds = time.perf_counter() - start
used = most() - before
print(json.dumps([seconds, used / 1024]))
"""
OURS = {
    "inspect": (
        "from weightspace.checkpoints import inspect",
        "inspect(path, hashed=False)",
    ),
    "with SHA-256": ("from weightspace.checkpoints import inspect", "inspect(path)"),
    "read": ("from weightspace.checkpoints import read_checkpoint", "read_checkpoint(path)"),
}
TORCH = ("import torch", "torch.load(path, weights_only=True)")
OWNERS = {
    "torch": TORCH,
    "torch before 1.6": TORCH,
    "whole module": ("import torch, torch.nn", "torch.load(path, weights_only=False)"),
    "safetensors": ("from safetensors.numpy import load_file", "load_file(path)"),
    "npz": ("import numpy as np", "found = np.load(path); [found[name] for name in found]"),
    "pickle of arrays": ("import pickle", "pickle.load(open(path, 'rb'))"),
    "HDF5": (
        "import h5py\nvisit = lambda n, one: found.append(one[()] if hasattr(one, 'shape') else 0)",
        "found = []; h5py.File(path).visititems(visit)",
    ),
    "flax": ("import flax.serialization as s", "s.msgpack_restore(open(path, 'rb').read())"),
    "ONNX": (
        "import onnx, onnx.numpy_helper as h",
        "[h.to_array(one) for one in onnx.load(path).graph.initializer]",
    ),
}


def state() -> dict[str, torch.Tensor]:
    """The state dict of a residual net of 18 layers for CIFAR, untrained."""
    torch.manual_seed(0)
    found: dict[str, torch.Tensor] = {}

    def convolution(name: str, inputs: int, outputs: int, side: int) -> None:
        found[f"{name}.weight"] = torch.randn(outputs, inputs, side, side)

    def norm(name: str, width: int) -> None:
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.{leaf}"] = torch.rand(width)
        found[f"{name}.num_batches_tracked"] = torch.tensor(100)

    convolution("conv1", 3, 64, 3)
    norm("bn1", 64)
    width = 64
    for stage, wide in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            for number, inputs in ((1, width), (2, wide)):
                convolution(f"{name}.conv{number}", inputs, wide, 3)
                norm(f"{name}.bn{number}", wide)
            if width != wide:
                convolution(f"{name}.shortcut.0", width, wide, 1)
                norm(f"{name}.shortcut.1", wide)
            width = wide
    found["linear.weight"], found["linear.bias"] = torch.randn(10, 512), torch.randn(10)
    return found


def module(values: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A module that holds these tensors."""
    root = torch.nn.Module()
    for name, value in values.items():
        *way, leaf = name.split(".")
        inner = root
        for part in way:
            if part not in inner._modules:
                inner.add_module(part, torch.nn.Module())
            inner = inner._modules[part]  # type: ignore[assignment]  # none is None here
        inner.register_buffer(leaf, value)
    return root


def written(folder: Path) -> dict[str, Path]:
    """One file of each format that can be written here."""
    values = state()
    arrays = {name: value.numpy() for name, value in values.items()}
    files = {
        "torch": folder / "net.pt",
        "torch before 1.6": folder / "old.pt",
        "whole module": folder / "whole.pt",
        "safetensors": folder / "net.safetensors",
        "npz": folder / "net.npz",
        "pickle of arrays": folder / "net.pkl",
    }
    torch.save(values, files["torch"])
    torch.save(values, files["torch before 1.6"], _use_new_zipfile_serialization=False)
    torch.save(module(values), files["whole module"])
    safetensors.torch.save_file(values, files["safetensors"])
    np.savez(files["npz"], **arrays)
    few = {n: a for n, a in arrays.items() if a.size < 500_000}  # at most 16 MiB are read
    files["pickle of arrays"].write_bytes(pickle.dumps(few))
    for name, write in (("HDF5", _hdf5), ("flax", _flax), ("ONNX", _onnx)):
        try:
            files[name] = write(folder, arrays)
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return files


def _hdf5(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    import h5py

    with h5py.File(folder / "net.h5", "w") as file:
        for name, array in arrays.items():
            file[name.replace(".", "/")] = array
    return folder / "net.h5"


def _flax(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    import flax.serialization

    path = folder / "net.msgpack"
    path.write_bytes(flax.serialization.msgpack_serialize(arrays))
    return path


def _onnx(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    import onnx
    import onnx.numpy_helper

    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = onnx.helper.make_graph([], "net", [], [], tensors)
    onnx.save(onnx.helper.make_model(graph), str(folder / "net.onnx"))
    return folder / "net.onnx"


def asked(setup: str, call: str, path: Path) -> tuple[float, float] | None:
    """Seconds and megabytes of a call in a process of its own; None if it fails."""
    code = ASK.format(setup=setup, call=call)
    command = [sys.executable, "-c", code, "x", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    seconds, used = json.loads(done.stdout.splitlines()[-1])
    return seconds, used


def timed(command: list[str]) -> float:
    """Seconds of a whole process."""
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


def formats(folder: Path, rounds: int) -> None:
    """Print the table of formats."""
    files = written(folder)
    print(
        "| format | MB | inspect | with SHA-256 | read | its library | "
        "memory: inspect, read, library |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, path in files.items():
        ways = {**OURS, "library": OWNERS[name]}
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, (setup, call) in ways.items():
                if (one := asked(setup, call, path)) is not None:
                    found[way].append(one)
        cells = [_cell(found[way], 0, 1e3, "ms") for way in ways]
        memory = [_cell(found[way], 1, 1, "MB") for way in ("inspect", "read", "library")]
        size = path.stat().st_size / 1e6
        print(f"| {name} | {size:.1f} | {' | '.join(cells)} | {', '.join(memory)} |")


def _cell(found: list[tuple[float, float]], which: int, scale: float, unit: str) -> str:
    if not found:
        return "-"
    return f"{statistics.median(one[which] for one in found) * scale:.0f} {unit}"


def commands(folder: Path, model: Path | None, rounds: int) -> None:
    """Print the times of the command line, beside that of importing torch."""
    small = {name: value for name, value in state().items() if value.numel() < 40_000}
    safetensors.torch.save_file(small, folder / "small.safetensors")
    torch.save(small, folder / "small.pt")
    python, run = sys.executable, "from weightspace.cli import main; main()"
    ways: dict[str, list[str]] = {"import torch": [python, "-c", "import torch"]}
    for name in ("small.safetensors", "small.pt"):
        ways[f"inspect {name}"] = [python, "-c", run, "inspect", str(folder / name)]
    if model:
        ways["predict small.pt"] = [
            python,
            "-c",
            run,
            "predict",
            str(model),
            str(folder / "small.pt"),
        ]
    found: dict[str, list[float]] = {name: [] for name in ways}
    measure: Callable[[list[str]], float] = timed
    for _ in range(rounds):
        for name, command in ways.items():
            found[name].append(measure(command))
    base = statistics.median(found["import torch"])
    print("\n| command | seconds | of `import torch` |\n|---|---|---|")
    for name, seconds in found.items():
        median = statistics.median(seconds)
        print(f"| {name} | {median:.2f} | {median / base:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=Path, help="A fitted model, for `predict`.")
    asked_for = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        formats(Path(folder), asked_for.rounds)
        commands(Path(folder), asked_for.model, asked_for.rounds)


if __name__ == "__main__":
    main()
