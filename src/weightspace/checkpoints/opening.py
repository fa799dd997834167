"""`open_net`: an open checkpoint, whose tensors are read when they are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weightspace.checkpoints.checkpoint import (
    Checkpoint,
    checkpoint_of,
    reading_without_pauses,
)
from weightspace.checkpoints.files import Stored, net_in, read_contents
from weightspace.checkpoints.inspection.inspect import Inspection, inspection_of
from weightspace.checkpoints.reading import arranged
from weightspace.checkpoints.tensors import Tensor
from weightspace.disk import InnerPath
from weightspace.networks.roles import Placed


@dataclass(frozen=True)
class OpenNet:
    """The net in an open file.

    Attributes
    ----------
    inspection : Inspection
        What the file says about itself.
    placed : tuple of Placed
        The tensors of layers with their roles, in the order of the net.
    """

    inspection: Inspection
    placed: tuple[Placed, ...]
    _place: Path | InnerPath
    _stored: Stored

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """All tensors of the net by name, those of no known layer too."""
        return self._stored.tensors

    def checkpoint(self) -> Checkpoint:
        """The whole net as `read_checkpoint` reads it.

        Returns
        -------
        Checkpoint

        Raises
        ------
        DataError
            If the file is damaged, or a value is not finite.
        """
        return checkpoint_of(self._stored, self._place)

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Some rows of a tensor, along its first axis.

        Parameters
        ----------
        name : str
            The name of the tensor.
        start, stop : int
            The first row and the one after the last; of a tensor without axes, 0 and 1.

        Returns
        -------
        ndarray of float32, shape (stop - start, ...)

        Raises
        ------
        DataError
            If the file is damaged there.
        """
        tensor = self.tensors[name]
        if tensor.compute is None and tensor.shape and (start, stop) != (0, tensor.shape[0]):
            tensor = dataclasses.replace(
                tensor,
                shape=(stop - start, *tensor.shape[1:]),
                offset=tensor.offset + start * tensor.stride[0],
            )
            start, stop = 0, stop - start
        out = np.empty(tensor.size, np.float32)
        self._stored.values.into(tensor, out)
        shaped = out.reshape(tensor.shape)
        return shaped[start:stop] if tensor.shape else shaped


@contextmanager
def open_net(
    path: str | Path | InnerPath, *, key: str | None = None, hashed: bool = False
) -> Iterator[OpenNet]:
    """Open a checkpoint; within the block its tensors can be read.

    Parameters
    ----------
    path : str, Path or InnerPath
        A file of any form that `read_checkpoint` reads.
    key : str, optional
        Which of several state dicts is the net.
    hashed : bool
        Whether to work out the SHA-256 of the file, which reads all of it.

    Yields
    ------
    OpenNet

    Raises
    ------
    DataError
        If the file is missing, damaged, or of no known form. The message is one line.
    """
    place = path if isinstance(path, InnerPath) else Path(path)
    with reading_without_pauses(), read_contents(place, beside=True) as (contents, size):
        stored = net_in(contents, size, key)
        arrangement = arranged(stored)
        yield OpenNet(
            inspection_of(place, stored, arrangement, size, hashed),
            tuple(arrangement.placed),
            place,
            stored,
        )
