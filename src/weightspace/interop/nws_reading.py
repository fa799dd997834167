"""The form "nws" of an import: the NWS data set's release, or nets trained with its scripts."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.interop import nws_form as form
from weightspace.interop import sheets
from weightspace.interop.arrivals import Arrival, LeftOut, Origin, Vectors, sparing
from weightspace.interop.inside import below, folders, reading
from weightspace.networks import Layout
from weightspace.printable import printable

ORIGIN = Origin(
    "nws",
    "nws",
    "Nets of the NWS data set (Eilertsen et al., ECAI 2020), imported.",
    form.RANGES,
)
_SPLITS = ("train", "test")
_ERRORS = 5  # columns in error.bin
_MOST_EPOCHS = 10_000  # the scripts stop at 1,000
_LARGEST_VECTOR = 2**28  # bytes of a weights file; the largest in the data set has some 10 MB


def arrivals(
    folder: InnerPath, *, rounded: bool = False, left_out: LeftOut | None = None
) -> Iterator[Arrival]:
    """The nets in the tables *train.csv and *test.csv of a folder, or all folders with a meta.csv.

    Values that float32 cannot represent are refused, or rounded with `rounded`.
    """
    names = disk.names(folder)
    tables = [(name, split) for split in _SPLITS for name in names if name.endswith(f"{split}.csv")]
    seen: dict[str, str] = {}
    for name, split in tables:
        for place, cells in sheets.rows(folder / name, (*form.COLUMNS, *form.SIZES, "path")):
            with sparing(cells["path"], left_out):
                path = _unseen(folder, cells["path"], place, seen)
                net = _Net(path, _said(cells, place), place, rounded)
                net.check_sizes(cells)
                yield net.arrival(split, printable(_kept(name, split)))
    if tables:
        return
    beside = folders(folder)
    for inner in sorted([*beside, *(deeper for one in beside for deeper in folders(one))]):
        if disk.exists(inner / "meta.csv"):
            with sparing(inner.thing, left_out):
                for place, cells in sheets.rows(
                    inner / "meta.csv", form.COLUMNS, most=sheets.LARGEST_OF_ONE
                ):
                    yield _Net(inner, _said(cells, place), place, rounded).arrival(None, "nws")


def _kept(table: str, split: str) -> str:
    """What the name of a table says besides the split."""
    return PurePosixPath(table).stem.removesuffix(split).rstrip("_-")


def _unseen(folder: InnerPath, said: str, place: str, seen: dict[str, str]) -> InnerPath:
    """The folder of a row, which no other row may have."""
    path = _inside(folder, said, place)
    if path.thing in seen:
        raise DataError(
            place,
            f"net {printable(path.thing)}: is there twice, also in {seen[path.thing]}",
            "remove one row",
        )
    seen[path.thing] = place
    return path


@dataclass(frozen=True)
class _Net:
    """The folder of one net; `place` is where a table describes it."""

    folder: InnerPath
    said: Mapping[str, Any]
    place: str
    rounded: bool

    @property
    def source(self) -> str:
        """Its path in the folder that is read."""
        return self.folder.thing

    def check_sizes(self, cells: Mapping[str, str]) -> None:
        """Refuse a number of values that a net with these columns cannot have."""
        sizes = [sheets.number(name, cells[name], self.place, whole=True) for name in form.SIZES]
        layout = form.Order.of(form.recipe_of(self.said)).layout
        for name, size in zip(form.SIZES, sizes, strict=True):
            own = form.count(layout, name.removeprefix("weightn_"))
            if size != own:
                raise DataError(
                    self.place,
                    f"net {printable(self.source)}: {name} is {size}, a net of these columns has "
                    f"{own}",
                    "correct the row",
                )

    def arrival(self, split: str | None, table: str) -> Arrival:
        """The net with everything in its folder, except the weights."""
        self._agrees_with_meta()
        errors, stat = self._numbers("error.bin"), self._numbers("stat.bin")
        rows = errors.reshape(-1, _ERRORS) if errors.size % _ERRORS == 0 else errors[:0]
        sound = stat.shape == (4,) and np.isfinite(stat[:3]).all() and 0 <= stat[1] < 2**53
        if not sound or not 1 <= len(rows) == stat[0]:
            raise DataError(
                self.folder,
                f"error.bin has {errors.size} values and stat.bin {stat.size} that begin with "
                "another number of epochs",
                "they may be cut short, fetch them again",
            )
        weights = self._weights()
        seen = rows[form.moments(len(rows))[: len(weights)]]
        return Arrival(
            source=self.source,
            recipe={**self.said, **form.SHARED},
            moments=[self._moment(row, stat) for row in seen],
            read=partial(self._read, weights),
            split=split,
            facts={
                "steps": int(stat[1]),
                "nws_table": table,
                "nws_error": base64.b64encode(errors.tobytes()).decode(),
                "nws_stat": base64.b64encode(stat.tobytes()).decode(),
            },
        )

    def _moment(self, row: np.ndarray, stat: np.ndarray) -> dict[str, Any]:
        """The metrics of a snapshot in error.bin, which has percentages of wrong predictions."""
        step, train, validation, test, _ = (float(value) for value in row)
        if not (0 <= step < 2**53 and step.is_integer()):
            raise DataError(
                f"{self.folder}/error.bin",
                f"net {printable(self.source)}: {step!r} is not a number of steps",
                "fetch the net again",
            )
        return {
            "step": int(step),
            "epoch": step * float(stat[2]) / float(stat[1]) if stat[1] > 0 else 0.0,
            "train_accuracy": 1 - train / 100,
            "validation_accuracy": 1 - validation / 100,
            "test_accuracy": 1 - test / 100,
        }

    def _agrees_with_meta(self) -> None:
        meta = self.folder / "meta.csv"
        if not disk.exists(meta):
            return
        for place, cells in sheets.rows(meta, form.COLUMNS, most=sheets.LARGEST_OF_ONE):
            sheets.agree(_said(cells, place), self.said, f"net {printable(self.source)}", place)

    def _weights(self) -> list[InnerPath]:
        folder = self.folder / "weights"
        names = [name for name in disk.names(folder) if name.endswith(".bin")]
        if not 1 <= len(names) <= form.SNAPSHOTS:
            raise DataError(
                folder,
                f"holds {len(names)} files *.bin, a net has 1 to {form.SNAPSHOTS}",
                "fetch the net again",
            )
        for number, name in enumerate(names, 1):
            if name != f"{number:03d}.bin":
                raise DataError(folder, f"has no {number:03d}.bin", "fetch it again")
        return [folder / name for name in names]

    def _read(self, files: Sequence[InnerPath]) -> Vectors:
        order = form.Order.of(form.recipe_of(self.said))
        for file in files:
            yield order.layout, order.to_zoo(self._vector(file, order.layout))

    def _vector(self, file: InnerPath, layout: Layout) -> np.ndarray:
        """The values of a file as float32 [layout.size], in the data set's order."""
        with self._reading(file):
            data = disk.read_bytes(file, _LARGEST_VECTOR, within=True)
        if len(data) != 8 * layout.size:
            cut = len(data) != 4 * layout.size
            what = "may be cut short" if cut else "is float32, not float64"
            raise DataError(
                file,
                f"net {printable(self.source)}: has {len(data):,} bytes, {layout.size:,} values "
                f"of float64 take {8 * layout.size:,}",
                f"the file {what}, fetch it again",
            )
        wide = np.frombuffer(data, "<f8")
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = wide.astype("<f4")
            lost = narrow.astype("<f8").view("<i8") != wide.view("<i8")
            beyond = lost & np.isinf(narrow)
        if (beyond if self.rounded else lost).any():
            at = int((beyond if self.rounded else lost).argmax())
            remedy = "diverged nets stay out" if self.rounded else "`rounded=True` rounds them"
            raise DataError(
                file,
                f"net {printable(self.source)}: value {at} is {float(wide[at])!r}, which float32 "
                f"cannot represent, like {int(lost.sum()):,} of {len(wide):,}",
                remedy,
            )
        return narrow

    def _numbers(self, name: str) -> np.ndarray:
        file = self.folder / name
        with self._reading(file):
            data = disk.read_bytes(file, 8 * _ERRORS * _MOST_EPOCHS, within=True)
        if len(data) % 8:
            raise DataError(
                file,
                f"net {printable(self.source)}: is cut short, {len(data)} bytes are no float64 "
                "values",
                "fetch the net again",
            )
        return np.frombuffer(data, "<f8")

    def _reading(self, file: InnerPath) -> AbstractContextManager[None]:
        return reading(file, f"net {printable(self.source)}", "fetch the net again")


def _said(cells: Mapping[str, str], place: str) -> dict[str, Any]:
    """The hyper-parameters of a row; an unknown code is refused with the list of known ones."""
    found: dict[str, Any] = {}
    for column, name in form.COLUMNS.items():
        text = cells[column].strip()
        if column in form.CODES:
            codes = form.CODES[column]
            if text not in codes:
                raise DataError(
                    place,
                    f"{column}: {printable(text, 60)!r} is not a code",
                    "known are " + ", ".join(f"{code} ({word})" for code, word in codes.items()),
                )
            text = codes[text]
        found[name] = sheets.value(name, text, place)
        if found[name] is None:
            raise DataError(place, f"{column}: is empty", "fill it in")
    return found


def _inside(folder: InnerPath, path: str, place: str) -> InnerPath:
    found = below(folder, path)
    if found is None:
        raise DataError(
            place,
            f"path: {printable(path, 80)!r} does not lead to a folder next to the table",
            "make it relative, without '..'",
        )
    return found
