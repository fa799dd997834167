"""The tensors of a living model of torch or Keras, by the names that a checkpoint gives them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from weightspace.checkpoints.formats.kerasnames import leaves, snake
from weightspace.errors import UsageError

Shapes = dict[str, tuple[tuple[int, ...], str]]
"""Shape and torch's name of the type, by name."""
Take = Callable[[], Mapping[str, np.ndarray]]


class Weights(Protocol):
    """The tensors of a model: names, shapes and copies of the values."""

    thing: str
    transposed: bool

    def shapes(self) -> Shapes:
        """Shape and type of every tensor."""

    def copy(self, names: Sequence[str]) -> Take:
        """Copy tensors as they are now; the result gives them as float32 or float64."""


def weights_of(model: Any) -> Weights:
    """The tensors of a model; UsageError if it is none of torch or Keras."""
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        return KerasWeights(model)
    if callable(getattr(model, "state_dict", None)) and callable(getattr(model, "modules", None)):
        return TorchWeights(model)
    raise UsageError(
        "model", f"a {type(model).__name__} is no torch module and no Keras model", "give the model"
    )


class TorchWeights:
    """A torch module; its names are those of its state dict."""

    transposed = False

    def __init__(self, model: Any) -> None:
        self.thing = f"model {type(model).__name__}"
        self._model = model

    def shapes(self) -> Shapes:
        """Shape and type of every tensor; UsageError if values are not in this process."""
        return {name: (_whole(name, t), str(t.dtype)[6:]) for name, t in self._tensors().items()}

    def copy(self, names: Sequence[str]) -> Take:
        """Copy on the device; the copies come to the host when they are asked for."""
        tensors = self._tensors()
        copies = {name: tensors[name].detach().clone() for name in names}
        event = _event(copies.values())

        def taken() -> dict[str, np.ndarray]:
            if event is not None:
                event.synchronize()
            return {name: _array(copy) for name, copy in copies.items()}

        return taken

    def _tensors(self) -> dict[str, Any]:
        state = self._model.state_dict(keep_vars=True)
        return {name: t for name, t in state.items() if hasattr(t, "dtype")}


def _whole(name: str, tensor: Any) -> tuple[int, ...]:
    if hasattr(tensor, "to_local") or getattr(tensor, "is_meta", False):
        raise UsageError(
            name, "is sharded over processes, or not loaded", "record models that are whole"
        )
    if type(tensor).__name__.startswith("Uninitialized"):
        raise UsageError(name, "has no values yet", "run the model once before it is recorded")
    return tuple(tensor.shape)


def _array(tensor: Any) -> np.ndarray:
    wide = tensor if str(tensor.dtype) == "torch.float64" else tensor.float()
    found: np.ndarray = wide.cpu().numpy()
    return found


def _event(tensors: Any) -> Any:
    """An event after which the copies on a GPU are made; None on other devices."""
    if not any(getattr(tensor, "is_cuda", False) for tensor in tensors):
        return None
    event = sys.modules["torch"].cuda.Event()
    event.record()
    return event


class KerasWeights:
    """A Keras model of any backend; its names are those of a `.keras` file of it."""

    transposed = True

    def __init__(self, model: Any) -> None:
        self.thing = f"model {type(model).__name__}"
        if not model.built:
            raise UsageError(self.thing, "is not built yet", "give it an `Input`, or build it")
        self._model = model
        self._variables = dict(_variables(model))

    def shapes(self) -> Shapes:
        """Shape and type of every variable."""
        return {name: (tuple(v.shape), _torch_name(v.dtype)) for name, v in self._variables.items()}

    def copy(self, names: Sequence[str]) -> Take:
        """Copy the values now."""
        if hasattr(self._model, "jax_state_sync"):  # in `fit`, JAX has the values elsewhere
            self._model.jax_state_sync()
        copies = {name: _copied(self._variables[name]) for name in names}
        return lambda: copies


def _copied(variable: Any) -> np.ndarray:
    tensor = getattr(variable, "value", variable)
    if hasattr(tensor, "detach"):
        return _array(tensor.detach().clone())
    array = np.array(tensor)
    return array if array.dtype == np.float64 else array.astype(np.float32)


def _torch_name(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]


def _variables(model: Any) -> Iterator[tuple[str, Any]]:
    """Every variable by its name: the layers on the way, and what it is, such as "conv/kernel"."""
    seen: set[int] = set()

    def walk(layer: Any, way: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        own = [*layer._trainable_variables, *layer._non_trainable_variables]
        own = [v for v in own if _is_weight(v)]
        flags = {k: v for k, v in _config(layer).items() if isinstance(v, bool)}
        kind = snake(type(layer).__name__)
        for leaf, variable in zip(
            leaves(kind, [tuple(v.shape) for v in own], flags), own, strict=True
        ):
            yield "/".join([*way, leaf]), variable
        lists = _in_lists(layer)
        for inner in layer._layers:
            yield from walk(inner, (*way, *lists.get(id(inner), ()), inner.name))

    found: set[str] = set()
    for name, variable in walk(model, ()):
        if name in found:
            raise UsageError(name, "is the name of two weights", "give its layers different names")
        found.add(name)
        yield name, variable


def _in_lists(layer: Any) -> dict[int, tuple[str]]:
    """The attribute of each layer within that is in a list: a file has its name on the way."""
    found: dict[int, tuple[str]] = {}
    for name, value in sorted(vars(layer).items()):
        if isinstance(value, list | tuple | dict) and not name.startswith("_"):
            for inner in value.values() if isinstance(value, dict) else value:
                found.setdefault(id(inner), (name,))
    return found


def _config(layer: Any) -> dict[str, Any]:
    try:
        return dict(layer.get_config())
    except (NotImplementedError, TypeError, ValueError):  # of a class that states none
        return {}


def _is_weight(variable: Any) -> bool:
    return math.prod(variable.shape) > 0 and "seed" not in str(variable.dtype)
