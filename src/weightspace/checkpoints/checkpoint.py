"""`Checkpoint`: the vector and layout of a foreign file, and the account of its tensors."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weightspace.checkpoints.files import Stored, read_file
from weightspace.checkpoints.findings import Finding, doubts, of_names
from weightspace.checkpoints.reading import arranged
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.markup import summary
from weightspace.networks import Layout
from weightspace.networks.roles import Arrangement, Note, layout_of
from weightspace.printable import printable

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 5


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in the form of a zoo's snapshot.

    Attributes
    ----------
    path : Path
        The file.
    vector : ndarray of float32, shape (layout.size,)
        The values of all used tensors.
    layout : Layout
        Where each tensor lies in the vector, with the names in the file.
    used : tuple of Note
        One note for each tensor of the layout, in this order.
    skipped : tuple of Note
        One note for everything else in the file, with the reason.
    form : str
        The form of the file, such as "safetensors" or "torch".
    key : str
        Where the state dict is in the file: keys joined by "/", "" for the whole content.
    others : tuple of str
        Where the other state dicts of the file are.
    findings : tuple of Finding
        What else a reader should know, such as names of code in the file.
    """

    path: Path
    form: str
    vector: np.ndarray
    layout: Layout
    used: tuple[Note, ...]
    skipped: tuple[Note, ...]
    key: str = ""
    others: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def frame(self) -> pl.DataFrame:
        """The account of the tensors as a table.

        Returns
        -------
        polars.DataFrame
            One row for each tensor, the used ones first: name, shape, dtype, used (bool), reason.
        """
        import polars as pl  # takes longer to load than most files take to read

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

    def _repr_html_(self) -> str:
        facts: list[tuple[str, object]] = [("form", self.form), ("values", self.vector.size)]
        facts += [("state dict", self.key)] if self.key else []
        facts += [(one.kind, str(one)) for one in self.findings]
        rows = [
            (note.name, "x".join(map(str, note.shape)), note.dtype, used, note.reason)
            for used in (True, False)
            for note in self._notes(used)
        ]
        headings = ("name", "shape", "dtype", "used", "reason")
        return summary(f"Checkpoint {self.path}", facts, headings, rows)


def read_checkpoint(
    path: str | Path | InnerPath, *, key: str | None = None, finite: bool = True
) -> Checkpoint:
    """Read a checkpoint of torch, Keras, ONNX or another known form; nothing in it is executed.

    The content decides what the file is, not its extension. A torch file may contain a state dict,
    or one under `state_dict`, `model_state_dict`, `model` or `module`; the prefixes `module.` and
    `_orig_mod.` are dropped. The order of layers follows from their names and shapes, and never
    from the order in the file, so that a net gives the same vector in every form. Every layer is
    its kernel and bias, then, for each of its norms, shift, scale, running mean and running
    variance. Every floating type becomes float32.

    Parameters
    ----------
    path : str, Path or InnerPath
        The file, or a folder of a model, as Hugging Face's libraries write it. An `InnerPath` must
        be a file, and not lead out of its folder.
    key : str, optional
        Which of several state dicts to read, such as "ema". By default the net's own.
    finite : bool
        Whether values that are not finite are an error.

    Returns
    -------
    Checkpoint

    Raises
    ------
    DataError
        If the file is missing, damaged, not a checkpoint, or has no usable tensor; if a value is
        not finite; or if reading the file would execute code. The message is one line.

    Notes
    -----
    Files of any size are read, with a pickle of up to 16 MiB or a header of up to 8 MiB, and up to
    32,768 entries in a state dict. Only values that are used are read from the disk.

    Examples
    --------
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
    with reading_without_pauses(), read_file(place, key) as stored:
        return checkpoint_of(stored, place, finite)


def checkpoint_of(stored: Stored, place: Path | InnerPath, finite: bool = True) -> Checkpoint:
    """The checkpoint that the net of an open file is; see `read_checkpoint`."""
    arrangement, layout = laid_out(stored, place)
    placed, skipped = arrangement.placed, arrangement.skipped
    vector = vector_of(stored, layout)
    if finite:
        _check_finite(place, vector, layout)
    return Checkpoint(
        path=place.path if isinstance(place, InnerPath) else place,
        form=stored.form,
        vector=vector,
        layout=layout,
        used=tuple(p.note for p in placed),
        skipped=(*skipped, *stored.beside),
        key=stored.chosen.key,
        others=tuple(one.key for one in stored.others),
        findings=(
            *of_names(stored.contents.foreign),
            *doubts(arrangement.doubts, stored.contents.facts),
        ),
    )


def laid_out(stored: Stored, place: object) -> tuple[Arrangement, Layout]:
    """The roles of the tensors of a net, and their layout; DataError if none can be used.

    `place` is what an error is about.
    """
    found = arranged(stored)
    if stored.tensors and not any(tensor.size for tensor in stored.tensors.values()):
        raise _without_values(place, len(stored.tensors))
    if not found.placed:
        raise DataError(place, "no usable tensors", _found((*found.skipped, *stored.beside)))
    return found, layout_of(found.placed)


def _without_values(place: object, count: int) -> DataError:
    return DataError(
        place,
        f"none of its {count:,} tensors holds a value, as DeepSpeed leaves them (ZeRO stage 3), "
        "which keeps the values in the files of its ranks",
        "put them together with zero_to_fp32.py, which lies in the checkpoint's folder",
    )


@contextmanager
def reading_without_pauses() -> Iterator[None]:
    """Switch off garbage collection: the many small objects of a file are all in use.

    Collection would run again and again, and take several times as long as reading them.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def vector_of(stored: Stored, layout: Layout) -> np.ndarray:
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
        place,
        f"{bad[0]}{more}",
        "the net has diverged or the file is damaged, take an earlier checkpoint",
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
