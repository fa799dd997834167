"""What recording costs a training loop.

A small CNN is trained with and without a recorder, in turns of 100 steps, `--rounds` times: 20
snapshots in 2,000 steps. The time is that from before `Recorder.run` until the net is in the zoo.
Then the recorder is timed without any training: what each call takes of the loop's own thread, and
the time of the processor that the whole run takes, in all threads. Medians are printed.

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

SNAPSHOTS, TURN = 20, 100


def net() -> nn.Sequential:
    """A CNN of three convolutions, for 32x32 colour images: 94,000 values."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


class Loop:
    """A training loop, of which some steps are made at a time."""

    def __init__(self, batch: int, recorder: Recorder | None) -> None:
        self.model = net()
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.images, self.labels = torch.rand(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
        self.recorder, self.run = recorder, None
        self.seconds = self.worked = 0.0

    def steps(self, count: int, first: bool, last: bool) -> None:
        """Make so many steps, and count their time on the clock and of the processor."""
        start, worked = time.perf_counter(), time.process_time()
        if first and self.recorder:
            self.run = self.recorder.run(self.model, optimizer=self.optimizer, seed=0)
        for _ in range(count):
            loss = nn.functional.cross_entropy(self.model(self.images), self.labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.run:
                self.run.step(loss=loss)
        if last and self.run:
            self.run.close()
        self.seconds += time.perf_counter() - start
        self.worked += time.process_time() - worked


def pair(steps: int, batch: int, recorder: Recorder) -> tuple[Loop, Loop]:
    """Both loops to their end, in turns of 100 steps, so that both meet the same neighbours."""
    loops = Loop(batch, None), Loop(batch, recorder)
    turns = steps // TURN
    for turn in range(turns):
        for loop in loops if turn % 2 else loops[::-1]:
            loop.steps(TURN, turn == 0, turn == turns - 1)
    return loops


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
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder) / "zoo", snapshots=SNAPSHOTS, total_steps=told.steps)
        Loop(told.batch, None).steps(50, True, True)
        pairs = [pair(told.steps, told.batch, recorder) for _ in range(told.rounds)]
        before = time.process_time()
        calls = alone(told.steps, recorder)
        worked = time.process_time() - before
    plain, recorded = (
        statistics.median(loop.seconds for loop in side) for side in zip(*pairs, strict=True)
    )
    ratios = sorted(b.seconds / a.seconds for a, b in pairs)
    ratio = statistics.median(ratios)
    work = statistics.median(b.worked / a.worked for a, b in pairs)
    busy = statistics.median(a.worked for a, _ in pairs)
    print(f"torch {torch.__version__}, {told.threads} threads, {told.rounds} rounds, medians")
    print(f"{told.steps} steps of {1000 * plain / told.steps:.2f} ms, {SNAPSHOTS} snapshots")
    print(f"without {plain:.2f} s  with {recorded:.2f} s  ratio {ratio:.3f}")
    print(f"ratios of the rounds: {', '.join(f'{one:.3f}' for one in ratios)}")
    print(f"of the processor's time: ratio {work:.3f}")
    medians = {name: 1000 * statistics.median(own) for name, own in calls.items()}
    print("  ".join(f"{name} {value:.3f} ms" for name, value in medians.items()))
    held = sum(sum(own) for own in calls.values())
    print(f"in the loop's thread {held:.3f} s, {held / plain:.2%} of the loop")
    print(f"in all threads {worked:.3f} s of the processor, {worked / busy:.2%} of the loop's")


if __name__ == "__main__":
    main()
