"""The memory of a run as the number of nets grows, and the time from start to first step.

It runs `weightspace sample` on small populations of one space, each in its own processes. It reads
the proportional set size of the whole process tree ten times a second (Linux).

    python benchmarks/memory.py --space demo --nets 20 80 320
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

FIRST_STEP = """
import time
start = time.perf_counter()
from weightspace.space import preset
from weightspace.images import load, resize
from weightspace.images.imageset import ImageSet
from weightspace.training import Pool, StackTrainer
raw = load("digits")
x, y = resize(raw.x_train, 12, 1), raw.y_train
pool = Pool.of({"digits": ImageSet("digits", x, y, x[:50], y[:50], raw.classes)})
recipes = preset("demo").with_constants(dataset="digits").draw(1)
StackTrainer(recipes, pool, snapshots=2).train_step()
print(time.perf_counter() - start)
"""


def tree_bytes(pid: int) -> int:
    """Proportional set size of a process and its descendants: shared pages count once."""
    total = 0
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def peak(space: str, nets: int, epochs: int, out: Path) -> tuple[int, float]:
    """Peak bytes and seconds of a run."""
    command = [sys.executable, "-m", "weightspace", "sample", space, "--nets", str(nets)]
    command += ["--epochs", str(epochs), "--snapshots", "3", "--out", str(out)]
    start, most = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None:
            most = max(most, tree_bytes(run.pid))
            time.sleep(0.1)
    if run.returncode:
        raise SystemExit(f"{' '.join(command)}: ended with {run.returncode}")
    return most, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="demo")
    parser.add_argument("--nets", type=int, nargs="+", default=[20, 80, 320])
    parser.add_argument("--epochs", type=int, default=4)
    asked = parser.parse_args()
    times = sorted(
        float(subprocess.run([sys.executable, "-c", FIRST_STEP], capture_output=True, text=True,
                             check=True).stdout)
        for _ in range(5)
    )  # fmt: skip
    print(f"from the first import to the end of the first step: {times[2]:.1f} s (median of 5)")
    with tempfile.TemporaryDirectory() as folder:
        for nets in asked.nets:
            most, seconds = peak(asked.space, nets, asked.epochs, Path(folder) / str(nets))
            print(f"{asked.space} {nets:5} nets: peak {most / 1e9:.2f} GB, {seconds:.0f} s")


if __name__ == "__main__":
    main()
