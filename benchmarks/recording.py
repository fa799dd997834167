"""What recording costs a training loop.

A small CNN is trained with and without a recorder, in turns, `--rounds` times: 20 snapshots in
2,000 steps. Each loop is timed from before `Recorder.run` until its net is in the zoo. Then the
recorder is timed without any training: what each call takes of the loop's own thread, and the time
of the processor that the whole run takes, in all threads. Medians are printed.

    python benchmarks/recording.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from weightspace import Recorder

SNAPSHOTS = 20


def net() -> nn.Sequential:
    """A CNN of three convolutions, for 32x32 colour images: 94,000 values."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def loop(steps: int, batch: int, recorder: Recorder | None) -> tuple[float, float]:
    """The seconds of a run: on the clock, and of the processor."""
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    images, labels = torch.rand(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
    start, worked = time.perf_counter(), time.process_time()
    run = recorder.run(model, optimizer=optimizer, seed=0) if recorder else None
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if run:
            run.step(loss=loss)
    if run:
        run.close()
    return time.perf_counter() - start, time.process_time() - worked


def alone(steps: int, recorder: Recorder) -> dict[str, list[float]]:
    """The seconds of each call of a run without any training."""
    model = net()
    loss = model(torch.rand(2, 3, 32, 32)).mean()
    found: dict[str, list[float]] = {"begin": [], "step": [], "snapshot": [], "end": []}
    start = time.perf_counter()
    run = recorder.run(model, seed=0)
    found["begin"].append(time.perf_counter() - start)
    for number in range(steps):
        start = time.perf_counter()
        taken = run.step(loss=loss)
        found["snapshot" if taken else "step"].append(time.perf_counter() - start)
        if number % (steps // SNAPSHOTS) == steps // SNAPSHOTS // 2:
            time.sleep(0.2)  # as long as steps of a loop take: the thread writes
    start = time.perf_counter()
    run.close()
    found["end"].append(time.perf_counter() - start)
    return found


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder) / "zoo", snapshots=SNAPSHOTS, total_steps=told.steps)
        loop(50, told.batch, None)
        pairs = []
        for number in range(told.rounds):
            order = (None, recorder) if number % 2 else (recorder, None)
            took = {one is None: loop(told.steps, told.batch, one) for one in order}
            pairs.append((took[True], took[False]))
        before = time.process_time()
        calls = alone(told.steps, recorder)
        worked = time.process_time() - before
    plain, recorded = (
        statistics.median(one[0] for one in side) for side in zip(*pairs, strict=True)
    )
    ratio = statistics.median(b[0] / a[0] for a, b in pairs)
    busy = statistics.median(a[1] for a, _ in pairs)
    print(f"torch {torch.__version__}, {told.threads} threads, {told.rounds} rounds, medians")
    print(f"{told.steps} steps of {1000 * plain / told.steps:.2f} ms, {SNAPSHOTS} snapshots")
    print(f"without {plain:.2f} s  with {recorded:.2f} s  ratio {ratio:.4f}")
    medians = {name: 1000 * statistics.median(own) for name, own in calls.items()}
    print("  ".join(f"{name} {value:.3f} ms" for name, value in medians.items()))
    held = sum(sum(own) for own in calls.values())
    print(f"in the loop's thread {held:.3f} s, {held / plain:.2%} of the loop")
    print(f"in all threads {worked:.3f} s of the processor, {worked / busy:.2%} of the loop's")


if __name__ == "__main__":
    main()
