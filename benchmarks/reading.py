"""Reading a zoo compared with HDF5, Zarr, Lance, plain `preadv` and `cat`: ratios from one run.

It reads slices of 5,000 consecutive float32 values at random from random snapshots, in batches of
256 that end in one contiguous array. It scans whole vectors. It opens and filters a zoo of 320,000
snapshots. The zoo is made up: 512 nets with 20 snapshots of 100,000 values (4.1 GB). The other
files hold the same values:

- HDF5 holds all of them in one data set, in chunks of 16,384 values, without compression.
- Zarr v3 holds the first quarter in the same chunks, without compression: once with one file per
  chunk, and once with one shard per net.
- Lance holds the first quarter, in rows of 5,000 values. `take` fetches 256 whole rows. (The others
  start anywhere, which is more work.)

Plain preadv is a loop of `os.preadv` at known offsets, into existing memory.

All take turns, `--rounds` times, and medians are reported. Warm: the files were read before. Cold:
the page cache of the files is dropped before each turn (`posix_fadvise`, Linux).

    pip install h5py zarr pylance
    python benchmarks/reading.py --scratch DIR

DIR needs 12 GB. The files in it are removed at the end unless `--keep` is given. `--only make`
makes and keeps them. `--only measure` uses existing ones.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil

from weightspace.networks import Layout, TensorSpec
from weightspace.space import preset
from weightspace.zoo import Writer, Zoo, write_index

LENGTH, BATCH = 5000, 256
NETS, SNAPSHOTS, VALUES, UNITS = 512, 20, 100_000, 32
QUARTER = NETS // 4
CHUNK = 16_384
MANY_NETS, MANY_UNITS = 16_000, 1_000
GOALS = {"h5py": 15, "zarr": 100, "zarr sharded": 100, "lance take": 5, "preadv": 0.7}
SLICES = {"zoo": 100, "zoo, own array": 100, "preadv": 100, "h5py": 12, "lance take": 20,
          "zarr": 1, "zarr sharded": 1}  # batches per turn  # fmt: skip

Read = Callable[[int], None]


def make_zoo(path: Path, nets: int, units: int, values: int) -> None:
    """Write a zoo of made-up nets, with the package's own writer."""
    space = preset("nws-main")
    recipes = space.draw(nets, 0)
    layout = Layout((TensorSpec("w", "weight", "fc", 0, (values,), 0),))
    writer = Writer(path, space=space, seed=0, info={"snapshots": SNAPSHOTS})
    random = np.random.default_rng(0)
    pool = random.normal(size=values + 4096).astype(np.float32)
    metrics = [f"{a}_{b}" for a in ("train", "validation", "test") for b in ("loss", "accuracy")]
    for number in range(units):
        mine = recipes[number * nets // units : (number + 1) * nets // units]
        ids = [recipe.net for recipe in mine]
        rows, moments = [], []
        with writer.unit(f"u{number:05d}", nets=ids, layout=layout, snapshots=SNAPSHOTS) as unit:
            for i, recipe in enumerate(mine):
                for k in range(1, SNAPSHOTS + 1):
                    first = int(random.integers(4096))
                    unit.put(recipe.net, k, pool[first : first + values].copy())
                    measured = dict(zip(metrics, random.random(6).tolist(), strict=True))
                    moments.append({"net": recipe.net, "snapshot": k, "step": 100 * k,
                                    "epoch": float(k), **measured})  # fmt: skip
                rows.append({"net": recipe.net, "index": number * nets // units + i,
                             "split": "train", "steps": 2000, **recipe.to_dict(),
                             "diverged": False, "dead": False})  # fmt: skip
            unit.commit(nets=rows, snapshots=moments)


def make_others(scratch: Path, zoo: Zoo) -> None:
    import h5py
    import lance
    import pyarrow as pa
    import zarr

    shape = (QUARTER * SNAPSHOTS, VALUES)
    few = {"chunks": (1, CHUNK), "dtype": "float32", "compressors": None}
    plain = zarr.create_array(scratch / "plain.zarr", shape=shape, **few)
    wide = (SNAPSHOTS, -(-VALUES // CHUNK) * CHUNK)
    sharded = zarr.create_array(scratch / "sharded.zarr", shape=shape, shards=wide, **few)
    with h5py.File(scratch / "all.h5", "w") as file:
        data = file.create_dataset("w", (NETS * SNAPSHOTS, VALUES), "f4", chunks=(1, CHUNK))
        for i, one in enumerate(zoo.vectors()):
            rows = slice(i * SNAPSHOTS, (i + 1) * SNAPSHOTS)
            data[rows] = one.values
            if i < QUARTER:
                plain[rows] = sharded[rows] = one.values

    def batches() -> Iterable[pa.RecordBatch]:
        for one in zoo.vectors(zoo.nets["net"][:QUARTER].to_list()):
            column = pa.FixedSizeListArray.from_arrays(pa.array(one.values.ravel()), LENGTH)
            yield pa.RecordBatch.from_arrays([column], names=["w"])

    schema = pa.schema([("w", pa.list_(pa.float32(), LENGTH))])
    lance.write_dataset(batches(), scratch / "quarter.lance", schema=schema)


def make(scratch: Path) -> None:
    make_zoo(scratch / "zoo", NETS, UNITS, VALUES)
    make_zoo(scratch / "many", MANY_NETS, MANY_UNITS, 64)
    make_others(scratch, Zoo(scratch / "zoo"))
    os.sync()


class Places:
    """Random places to read, the same for all readers that keep the zoo's order of rows."""

    def __init__(self, seed: int, rows: int) -> None:
        random = np.random.default_rng(seed)
        self.rows = random.integers(rows, size=BATCH)
        self.starts = random.integers(VALUES - LENGTH + 1, size=BATCH)


def readers(scratch: Path, zoo: Zoo) -> dict[str, tuple[Read, list[Path]]]:
    """The readers: each reads a batch of a seed; and the files that it reads."""
    import h5py
    import lance
    import zarr

    out = np.empty((BATCH, LENGTH), np.float32)
    shards = sorted((scratch / "zoo/shards").iterdir())
    table = zoo.snapshots.select("shard", "offset")
    descriptors = {file.name: os.open(file, os.O_RDONLY) for file in shards}
    known = [(descriptors[name], offset) for name, offset in table.iter_rows()]
    views = [[memoryview(row).cast("B")] for row in out]

    def preadv(seed: int) -> None:
        for (descriptor, offset), view in zip(prepared[seed], views, strict=True):
            os.preadv(descriptor, view, offset)

    prepared = {}
    for seed in range(10 * max(SLICES.values())):  # known offsets: not part of the measured time
        places = Places(seed, len(known))
        spots = zip(places.rows.tolist(), places.starts.tolist(), strict=True)
        prepared[seed] = [(known[row][0], known[row][1] + 4 * start) for row, start in spots]

    def into(data: Any, rows: int) -> Read:
        def read(seed: int) -> None:
            places = Places(seed, rows)
            spots = zip(places.rows.tolist(), places.starts.tolist(), strict=True)
            for i, (row, start) in enumerate(spots):
                out[i] = data[row, start : start + LENGTH]

        return read

    def h5(seed: int) -> None:
        places = Places(seed, NETS * SNAPSHOTS)
        spots = zip(places.rows.tolist(), places.starts.tolist(), strict=True)
        for i, (row, start) in enumerate(spots):
            data.read_direct(out, np.s_[row, start : start + LENGTH], np.s_[i])

    data = h5py.File(scratch / "all.h5", "r")["w"]
    quarter = QUARTER * SNAPSHOTS
    columnar = lance.dataset(str(scratch / "quarter.lance"))
    cut = quarter * (VALUES // LENGTH)

    def take(seed: int) -> None:
        rows = np.random.default_rng(seed).integers(cut, size=BATCH)
        column = columnar.take(rows, columns=["w"])["w"].combine_chunks()
        out[...] = column.flatten().to_numpy().reshape(BATCH, LENGTH)

    found: dict[str, tuple[Read, list[Path]]] = {
        "zoo": (lambda seed: void(zoo.slices(BATCH, LENGTH, seed)), shards),
        "zoo, own array": (lambda seed: void(zoo.slices(BATCH, LENGTH, seed, out=out)), shards),
        "preadv": (preadv, shards),
        "h5py": (h5, [scratch / "all.h5"]),
        "lance take": (take, files_of(scratch / "quarter.lance")),
    }
    for name, file in (("zarr", "plain.zarr"), ("zarr sharded", "sharded.zarr")):
        array = zarr.open_array(scratch / file, mode="r")
        found[name] = (into(array, quarter), files_of(scratch / file))
    return found


def void(_: object) -> None:
    pass


def files_of(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def drop(files: Iterable[Path]) -> None:
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def warm(files: Iterable[Path]) -> None:
    buffer = bytearray(2**22)
    for file in files:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(buffer):
                pass


def measure_slices(scratch: Path, rounds: int, cold: bool) -> None:
    zoo = Zoo(scratch / "zoo")
    zoo.slices(1)
    everyone = readers(scratch, zoo)
    for _, files in everyone.values():
        drop(files) if cold else warm(files)
    rates: dict[str, list[float]] = {name: [] for name in everyone}
    before = psutil.Process().memory_info().rss
    most = 0
    for turn in range(rounds):
        for name, (read, files) in everyone.items():
            if cold:
                drop(files)
            count = max(1, SLICES[name] // (4 if cold else 1))
            first = turn * count
            start = time.perf_counter()
            for seed in range(first, first + count):
                read(seed)
            rates[name].append(BATCH * count / (time.perf_counter() - start))
            if name.startswith("zoo"):
                most = max(most, psutil.Process().memory_info().rss - before)
    ours = statistics.median(rates["zoo"])
    state = "cold" if cold else "warm"
    print(
        f"\n{LENGTH:,}-value slices, {state}, {rounds} rounds; slices/s (least..most), zoo's ratio"
    )
    for name, found in rates.items():
        rate = statistics.median(found)
        goal = f"  goal {GOALS[name]:g}" if name in GOALS else ""
        print(f"{name:15} {rate:9,.0f} ({min(found):,.0f}..{max(found):,.0f})"
              f"  ratio {ours / rate:8.2f}{goal}")  # fmt: skip
    print(f"memory beyond that at the start, at most: {most / 1e6:.0f} MB (all readers' together)")


def measure_scans(scratch: Path, rounds: int, cold: bool) -> None:
    zoo = Zoo(scratch / "zoo")
    shards = sorted((scratch / "zoo/shards").iterdir())
    size = sum(file.stat().st_size for file in shards)

    def scan() -> None:
        for _ in zoo.vectors():
            pass

    def scan_in_one() -> None:
        for _ in zoo.vectors(reuse=True):
            pass

    def cat() -> None:
        subprocess.run(["cat", *shards], stdout=subprocess.DEVNULL, check=True)

    works = {"zoo.vectors": scan, "reuse": scan_in_one, "cat": cat}
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            drop(shards) if cold else warm(shards)
            start = time.perf_counter()
            work()
            rates[name].append(size / 1e9 / (time.perf_counter() - start))
    fresh, one, cat_rate = (statistics.median(found) for found in rates.values())
    print(
        f"scan, {'cold' if cold else 'warm'}: zoo.vectors {fresh:.2f} GB/s, in one {one:.2f}, "
        f"cat {cat_rate:.2f}, ratios {fresh / cat_rate:.2f} and {one / cat_rate:.2f}  goal 0.8"
    )


def measure_opening(scratch: Path, rounds: int) -> None:
    path = scratch / "many"
    rows = MANY_NETS * SNAPSHOTS
    print(f"\nopening {rows:,} snapshots of {MANY_NETS:,} nets in {MANY_UNITS:,} units, seconds")
    shutil.rmtree(path / "index", ignore_errors=True)
    for state in ("without an index", "with an index"):
        if state == "with an index":
            start = time.perf_counter()
            write_index(path)
            print(f"writing the index: {time.perf_counter() - start:.2f}")
        times: dict[str, list[float]] = {"nets": [], "and snapshots": [], "filter": []}
        for turn in range(rounds):
            start = time.perf_counter()
            zoo = Zoo(path)
            times["nets"].append(time.perf_counter() - start)
            zoo.snapshots  # noqa: B018 - asked for, so that it is read
            times["and snapshots"].append(time.perf_counter() - start)
            start = time.perf_counter()
            deep = (pl.col("optimizer") == "adam") & (pl.col("depth_conv") == 3 + turn % 3)
            kept = zoo.nets.filter(deep & pl.col("learning_rate").is_between(1e-3, 3e-3))
            zoo.snapshots.join(kept.select("net"), on="net", how="semi").filter(
                pl.col("test_accuracy") > 0.5
            )
            times["filter"].append(time.perf_counter() - start)
        told = ", ".join(f"{name} {statistics.median(v):.3f}" for name, v in times.items())
        print(f"{state}: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scratch", type=Path, required=True, help="a folder with 12 GB of space")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only", choices=["make", "measure"])
    asked = parser.parse_args()
    place = asked.scratch / "reading-benchmark"
    if asked.only != "measure":
        place.mkdir(parents=True)  # existing files are not overwritten
        make(place)
    if asked.only != "make":
        print(f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 1e9:.0f} GB of memory, "
              f"zoo of {NETS * SNAPSHOTS * VALUES * 4 / 1e9:.1f} GB")  # fmt: skip
        measure_slices(place, asked.rounds, cold=False)
        measure_slices(place, asked.rounds, cold=True)
        for cold in (False, True):
            measure_scans(place, asked.rounds, cold)
        measure_opening(place, asked.rounds)
        if not asked.keep:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
