"""The weights of a living model as the vector that a checkpoint of it would give."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from weightspace.checkpoints.checkpoint import laid_out, vector_of
from weightspace.checkpoints.contents import Contents
from weightspace.checkpoints.dtypes import DTYPES
from weightspace.checkpoints.files import net_in
from weightspace.checkpoints.formats.turning import in_torch_order
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.tensors import Storage, Tensor, Values, contiguous
from weightspace.errors import DataError
from weightspace.interop.checkpoints import in_a_zoo
from weightspace.recording.weights import Weights

Arrays = Mapping[str, np.ndarray]
Take = Callable[[], Arrays]


class Vectors:
    """Makes vectors of a model; their layout is that of a checkpoint of it.

    Parameters
    ----------
    weights : Weights
        The model.
    recipe : mapping
        What is known of the recipe. If a plan has exactly these tensors, the layout is the plan's,
        as that of an added checkpoint is.
    """

    def __init__(self, weights: Weights, recipe: Mapping[str, Any]) -> None:
        self._weights = weights
        self._storages: dict[str, Storage] = {}
        tensors = {name: self._tensor(name, *about) for name, about in weights.shapes().items()}
        if weights.transposed:
            tensors = in_torch_order(tensors)
        size = sum(storage.nbytes for storage in self._storages.values())
        contents = Contents("model", tensors, Values(io.BytesIO()))
        try:
            self._net = net_in(contents, size, None)
            _, self._own = laid_out(self._net, weights.thing)
        except Refusal as refusal:
            raise DataError(weights.thing, refusal.cause, refusal.remedy) from None
        self.layout = in_a_zoo(self._own, recipe)

    def copy(self) -> Take:
        """Copy the weights as they are now; the result gives them, in whichever thread."""
        return self._weights.copy(list(self._storages))

    def vector(self, taken: Take) -> np.ndarray:
        """The vector float32 [layout.size] of a copy; only one thread may call it."""
        for name, array in taken().items():
            flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            self._storages[name].data = cast(bytes, flat)  # a buffer, without a copy
        try:
            return vector_of(self._net, self._own)
        finally:
            for storage in self._storages.values():
                storage.data = b""

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: str) -> Tensor:
        kind = DTYPES.get(dtype)
        if kind is None or not kind.floating:
            return Tensor(kind or DTYPES["int64"], shape, kind="" if kind else dtype)
        if dtype != "float64":
            kind = DTYPES["float32"]  # which holds every value of a smaller type
        tensor = Tensor(kind, shape, contiguous(shape))
        nbytes = tensor.size * kind.itemsize
        tensor.storage = self._storages[name] = Storage(kind, nbytes, data=b"")
        return tensor
