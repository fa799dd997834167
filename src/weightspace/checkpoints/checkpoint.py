"""`Checkpoint`: the vector and layout of a file from outside, and an account of its tensors."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from weightspace.checkpoints.files import Stored, read_file
from weightspace.checkpoints.roles import Entry, Note, Placed, arrange
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.networks import Layout, TensorSpec
from weightspace.printable import printable

_SHOWN = 5


@dataclass(frozen=True)
class Checkpoint:
    """A foreign checkpoint in the form of a zoo's snapshot.

    `vector` is float32 [layout.size]; `layout` says what lies where, with the file's own names.
    `used` has one note per tensor of the layout, in its order, `skipped` one for everything else
    that the file holds, each with the reason. `form` is "safetensors" or "torch".
    """

    path: Path
    form: str
    vector: np.ndarray
    layout: Layout
    used: tuple[Note, ...]
    skipped: tuple[Note, ...]

    def frame(self) -> pl.DataFrame:
        """One row a tensor: name, shape, dtype, used (bool), reason; the used ones first."""
        notes = [(note, used) for used in (True, False) for note in self._notes(used)]
        return pl.DataFrame(
            {
                "name": [note.name for note, _ in notes],
                "shape": [list(note.shape) for note, _ in notes],
                "dtype": [note.dtype for note, _ in notes],
                "used": [used for _, used in notes],
                "reason": [note.reason for note, _ in notes],
            },
            schema={
                "name": pl.String,
                "shape": pl.List(pl.Int64),
                "dtype": pl.String,
                "used": pl.Boolean,
                "reason": pl.String,
            },
        )

    def _notes(self, used: bool) -> tuple[Note, ...]:
        return self.used if used else self.skipped


def read_checkpoint(path: str | Path | InnerPath, *, finite: bool = True) -> Checkpoint:
    """Read a safetensors or torch file without executing anything in it.

    `path` is a file that the user named, or one inside a folder, which then must lie there.

    The content decides what the file is, not its extension. A torch file may hold a state dict, or
    one under `state_dict`, `model_state_dict`, `model` or `module`; the prefixes `module.` and
    `_orig_mod.` are dropped. Layers come in the order of a torch file; a safetensors file keeps
    none, so there they come in the natural order of names (conv2 before conv10), convolutions
    before dense layers. Every layer is its kernel and bias, then for each norm that follows it
    shift, scale, running mean and running variance. Every floating type becomes float32.

    Files of any size are read, with a pickle of up to 16 MiB or a header of up to 8 MiB, and up to
    32,768 entries side by side; only values that are used are taken from the disk.

    Raises DataError, in one line, where the file is missing, damaged, no checkpoint, holds values
    that are not finite (unless `finite` is false), or has no usable tensor; and where reading it
    would execute code.

    >>> import tempfile, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5), torch.nn.BatchNorm2d(8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(net.state_dict(), f"{folder}/net.pt")
    ...     checkpoint = read_checkpoint(f"{folder}/net.pt")
    >>> [(spec.role, spec.shape) for spec in checkpoint.layout.tensors[:3]]
    [('weight', (8, 3, 5, 5)), ('bias', (8,)), ('shift', (8,))]
    >>> [(note.name, note.reason) for note in checkpoint.skipped]
    [('1.num_batches_tracked', 'a count of batches')]
    """
    place = path if isinstance(path, InnerPath) else Path(path)
    with _no_collector(), read_file(place) as stored:
        entries = [
            Entry(name, tensor.shape, tensor.dtype_name) for name, tensor in stored.tensors.items()
        ]
        placed, skipped = arrange(entries, ordered=stored.ordered)
        if not placed:
            raise DataError(f"{place}: no usable tensors; {_found((*skipped, *stored.beside))}")
        layout = _layout(placed)
        vector = _vector(stored, layout)
    if finite:
        _check_finite(place, vector, layout)
    return Checkpoint(
        path=place.path if isinstance(place, InnerPath) else place,
        form=stored.form,
        vector=vector,
        layout=layout,
        used=tuple(p.note for p in placed),
        skipped=(*skipped, *stored.beside),
    )


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep Python from looking for garbage: of a file's many small objects none is any yet.

    It would look again and again, and take several times as long as reading them does.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _layout(placed: list[Placed]) -> Layout:
    sizes = [p.entry.size for p in placed]
    offsets = itertools.accumulate(sizes[:-1], initial=0)
    return Layout(
        tuple(
            TensorSpec(p.entry.name, p.role, p.part, p.layer, p.entry.shape, offset)
            for p, offset in zip(placed, offsets, strict=True)
        )
    )


def _vector(stored: Stored, layout: Layout) -> np.ndarray:
    """The values of the layout's tensors as float32 [layout.size]."""
    vector = np.empty(layout.size, np.float32)
    for spec in layout.tensors:
        stored.values.into(stored.tensors[spec.name], vector[spec.offset : spec.stop])
    return vector


def _check_finite(place: Path | InnerPath, vector: np.ndarray, layout: Layout) -> None:
    if np.isfinite(vector).all():
        return
    bad: list[str] = []
    for spec in layout.tensors:
        if count := int((~np.isfinite(vector[spec.offset : spec.stop])).sum()):
            bad.append(
                f"{printable(spec.name)}: {count:,} of {spec.size:,} values are NaN or infinite"
            )
    more = f", and so in {len(bad) - 1} more tensors" if len(bad) > 1 else ""
    raise DataError(
        f"{place}: {bad[0]}{more}; the net has diverged or the file is damaged, "
        "take an earlier checkpoint"
    )


def _found(notes: tuple[Note, ...]) -> str:
    if not notes:
        return "it holds nothing at all"
    shown = [
        f"{printable(note.name, 60)} {note.dtype} {list(note.shape)} ({note.reason})"
        for note in notes[:_SHOWN]
    ]
    more = f" and {len(notes) - _SHOWN} more" if len(notes) > _SHOWN else ""
    return f"found {', '.join(shown)}{more}"
