"""A small sound folder of each form that is imported, to be spoiled, and how it is then refused."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from support import foreign_modelzoos as trials
from support import foreign_small_cnns as small_cnns
from support.foreign_nws import SMALL, Net, write_table
from weightspace.errors import WeightspaceError
from weightspace.interop import add, import_zoo
from weightspace.zoo import Zoo

FILES = {
    "nws": (
        "nws_main_train.csv",
        "nws_main/0001/meta.csv",
        "nws_main/0001/error.bin",
        "nws_main/0001/stat.bin",
        "nws_main/0001/weights/001.bin",
    ),
    "unterthiner": ("mnist/layout.csv", "mnist/metrics.csv", "mnist/weights.npy"),
    "packed": ("mnist/metrics.csv.gz",),
    "modelzoos": ("t/a/params.json", "t/a/result.json", "t/a/checkpoint_000001/checkpoints"),
    "add": ("deep/n0.pt", "deep/n1.safetensors"),
}
FOLDERS = {
    "nws": ("nws_main", "nws_main/0001", "nws_main/0001/weights"),
    "unterthiner": ("mnist",),
    "modelzoos": ("t", "t/a", "t/a/checkpoint_000001"),
    "add": ("deep",),
}


def make(root: Path) -> Path:
    """A folder of each form."""
    net = Net(SMALL, 1)
    net.write(root / "nws/nws_main/0001", snapshots=2)
    write_table(root / "nws/nws_main_train.csv", {"nws_main/0001": net})
    rows = [small_cnns.row(net, epoch) for net in (0, 1) for epoch in (0, 20)]
    small_cnns.write(root / "unterthiner/mnist", rows, packed=False)
    small_cnns.write(root / "packed/mnist", rows)
    trials.write(root / "modelzoos/t/a", trials.CONFIG, range(2))
    (root / "add/deep").mkdir(parents=True)
    for name in FILES["add"]:
        torch.save({"w.weight": torch.ones(3, 4)}, root / "add" / name)
    return root


@contextmanager
def soon() -> Iterator[None]:
    """What takes longer than any of these may is ended, even where it waits for a pipe."""

    def end(*_: object) -> None:
        raise TimeoutError("it took too long")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 10)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def read(there: Path, form: str) -> Zoo:
    out = there.parent / "zoo"
    if form == "add":
        return add(there / form, out)
    return import_zoo(there / form, out, "unterthiner" if form == "packed" else form)


def refused(there: Path, form: str) -> str:
    """The one line by which a folder is refused."""
    with pytest.raises(WeightspaceError) as caught:
        read(there, form)
    told = str(caught.value)
    assert told.isprintable()
    assert len(told) < 1000
    return told
