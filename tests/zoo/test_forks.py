"""A zoo works in forked processes, where the threads of polars are missing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from torch.utils.data import DataLoader, Dataset

from support.populations import synthetic_zoo
from weightspace.zoo import SliceDataset, Zoo, write_index

LONGEST = 30  # seconds; without polars' threads a call hangs for ever

pytestmark = [
    pytest.mark.skipif(
        "fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork"
    ),
    # Python 3.12 warns of every fork of a process with threads.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("forks") / "zoo"
    synthetic_zoo(path, nets=24, unit_size=4)
    return path


@pytest.fixture(autouse=True)
def threads_of_polars():
    """Start them here, as any use of polars does, so that a fork loses them."""
    pl.DataFrame({"n": range(1000), "m": range(1000)}).filter(pl.col("n") > 3).select("m", "n")


def forked(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked process; the test fails where it hangs or raises."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=lambda: there.send(work()))
    process.start()
    there.close()
    try:
        assert here.poll(LONGEST), "it hangs"
        return here.recv()
    except EOFError:
        pytest.fail("it raised an exception, which is printed above")
    finally:
        process.kill()
        process.join()


READS = {
    "vector": lambda zoo: zoo.vector(zoo.nets["net"][3], 2),
    "verified": lambda zoo: zoo.verified(zoo.nets["net"][3]),
    "slices": lambda zoo: zoo.slices(40, 100, seed=1).values,
    "some slices": lambda zoo: (
        zoo.slices(
            40, 100, nets=zoo.split().test, snapshots=[-1], part="conv", running_stats=False
        ).values
    ),
    "vectors": lambda zoo: np.concatenate([one.values.ravel() for one in zoo.vectors()]),
    "nets": lambda zoo: np.array([row["index"] for row in zoo.nets.iter_rows(named=True)]),
    "snapshots": lambda zoo: zoo.snapshots["offset"].to_numpy(),
    "split": lambda zoo: np.array(zoo.split().train),
    "another split": lambda zoo: np.array(zoo.split(("optimizer", "adam")).train),
    "layout": lambda zoo: np.array(zoo.layout(zoo.nets["net"][3]).select("conv")),
    "items": lambda zoo: SliceDataset(zoo, 2, 100, nets="test", labels=("optimizer",))[7]["values"],
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("opened", ["before the fork", "after the fork"])
def test_a_zoo_can_be_read_first_in_a_forked_process(path, read, opened):
    zoo = Zoo(path)
    found = forked(lambda: read(zoo if opened == "before the fork" else Zoo(path)))
    np.testing.assert_array_equal(found, read(zoo))


def test_stacks_in_another_order_than_their_nets_and_an_index_can_be_read_there(tmp_path):
    synthetic_zoo(tmp_path / "zoo", nets=24, unit_size=4)
    write_index(tmp_path / "zoo")
    zoo = Zoo(tmp_path / "zoo")
    found = forked(lambda: zoo.slices(40, 100, seed=1).values)
    np.testing.assert_array_equal(found, Zoo(tmp_path / "zoo").slices(40, 100, seed=1).values)


class Nets(Dataset):
    """The data set that a user would write: one method of a zoo for each item."""

    def __init__(self, zoo: Zoo, read: Callable[[Zoo, str, int], np.ndarray]) -> None:
        self.zoo, self.read, self.names = zoo, read, zoo.nets["net"].to_list()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> np.ndarray:
        return np.array(self.read(self.zoo, self.names[i], i)[:100])


ITEMS = {
    "vector": lambda zoo, net, i: zoo.vector(net),
    "slices": lambda zoo, net, i: zoo.slices(1, 100, seed=i).values[0],
    "vectors": lambda zoo, net, i: next(zoo.vectors([net])).values[0],
    "nets": lambda zoo, net, i: np.array([zoo.nets["index"][i]], np.float32),
}


@pytest.mark.parametrize("read", ITEMS.values(), ids=ITEMS)
def test_workers_of_a_data_loader_read_a_zoo(path, read):
    data = Nets(Zoo(path), read)
    loader = DataLoader(
        data, batch_size=4, num_workers=2, timeout=LONGEST, multiprocessing_context="fork"
    )
    found = np.concatenate([batch.numpy() for batch in loader])
    np.testing.assert_array_equal(found, np.stack([data[i] for i in range(len(data))]))


def test_workers_of_a_data_loader_read_a_slice_dataset(path):
    data = SliceDataset(path, 2, 100, labels=("optimizer",))
    loader = DataLoader(
        data, batch_size=12, num_workers=2, timeout=LONGEST, multiprocessing_context="fork"
    )
    found = np.concatenate([batch["values"].numpy() for batch in loader])
    np.testing.assert_array_equal(found, data.batch(np.arange(len(data))).values)
