"""The native step: what `networks.stack` computes, in C++, one net after the other.

Library kernels are slow for nets this small: dispatch, copies and kernels that are tuned for large
batches of channels cost more than the arithmetic. Here the samples of a batch are the innermost
axis, a convolution runs along rows without extracting patches, and norm, activation and pooling are
one pass (products.h, layers.h, step.cpp). There is one build for each width of vector registers,
and the widest that the processor supports is loaded. `networks.stack` is used where nothing was
built, and for layers and activations that the native step does not have (plans.py).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weightspace import native
from weightspace.networks.batch import Images, Masks, Step
from weightspace.networks.layout import RUNNING, TRAINABLE, Layout
from weightspace.networks.native.plans import numbers
from weightspace.networks.native.updates import Updates, declare
from weightspace.networks.plan import Plan

ACTIVATIONS = ("relu", "elu", "sigmoid", "tanh", "gelu", "leaky_relu")
"""The activations by number, as in activations.h."""

SUFFIX = {torch.float32: "f32", torch.float64: "f64"}


class _Call(Structure):
    """The struct `Call` of step.cpp."""

    _fields_ = (
        ("nets", c_int64),
        ("values", c_int64),
        *(
            (name, c_void_p)
            for name in (
                "pool", "index", "images", "levels", "labels", "weights", "stats", "widths",
                "masks", "dropped", "activation", "smoothing", "out", "losses", "updates",
            )
        ),
    )  # fmt: skip


@cache
def library() -> ctypes.CDLL | None:
    """The widest build that this processor supports; None if there is none or it is switched off.

    The environment variable WEIGHTSPACE_NATIVE=0 switches it off.
    """
    found = native.widest(Path(__file__).parent)
    return None if found is None else load(found)


def builds() -> list[Path]:
    """The builds that this processor supports, the widest last."""
    return native.builds(Path(__file__).parent)


def load(build: Path) -> ctypes.CDLL:
    """Load a build and declare its functions."""
    found = ctypes.CDLL(str(build))
    for suffix in SUFFIX.values():
        verbs = ("new", "free", "run", "augment")
        new, free, run, augment = (getattr(found, f"ws_{verb}_{suffix}") for verb in verbs)
        new.argtypes, new.restype = (c_void_p, c_int), c_void_p
        free.argtypes, free.restype = (c_void_p,), None
        run.argtypes, run.restype = (c_void_p, POINTER(_Call), c_int), None
        augment.argtypes, augment.restype = (c_void_p,) * 7, None
    declare(found)
    return found


def augmented(
    found: ctypes.CDLL,
    pool: Tensor,
    index: Tensor,
    keys: Tensor,
    noise_keys: Tensor,
    ranges: Sequence[tuple[float, float]],
    dtype: torch.dtype,
) -> Tensor:
    """Augment images `index` int64 [K, B] of `pool` uint8 [N, C, H, W]: [K, B, C, H, W] in 0..1.

    The same as `images.augmentation.augment` with each net's own random streams. `keys` int64 [K]
    are the streams of the uniform numbers, which are scaled to `ranges`; `noise_keys` are those of
    the noise.
    """
    out = torch.empty((*index.shape, *pool.shape[1:]), dtype=dtype)
    index, keys, noise_keys = index.contiguous(), keys.contiguous(), noise_keys.contiguous()
    limits, shape = np.array(ranges, np.float64), np.array(out.shape, np.int64)
    getattr(found, f"ws_augment_{SUFFIX[dtype]}")(
        pool.data_ptr(), index.data_ptr(), keys.data_ptr(), noise_keys.data_ptr(),
        limits.ctypes.data, shape.ctypes.data, out.data_ptr(),
    )  # fmt: skip
    return out


class Workspace:
    """The memory for one net's step on `samples` images."""

    def __init__(
        self, plan: np.ndarray, samples: int, dtype: torch.dtype, found: ctypes.CDLL
    ) -> None:
        self._free = getattr(found, f"ws_free_{SUFFIX[dtype]}")
        self._run = getattr(found, f"ws_run_{SUFFIX[dtype]}")
        self._space = getattr(found, f"ws_new_{SUFFIX[dtype]}")(plan.ctypes.data, samples)
        if not self._space:
            raise MemoryError(f"no memory for a training step on {samples} images")

    def run(self, call: _Call, training: bool) -> None:
        """Run one call; its arrays must be alive, contiguous and of the plan's shapes."""
        self._run(self._space, ctypes.byref(call), int(training))

    def __del__(self) -> None:
        if getattr(self, "_space", None):
            self._free(self._space)


class NativeStack:
    """Computes M nets of one plan on the CPU, with the interface of `networks.stack.TorchStack`."""

    def __init__(self, plan: Plan, layout: Layout, dtype: torch.dtype, found: ctypes.CDLL) -> None:
        told = numbers(plan)
        if told is None:
            raise ValueError("the native step does not compute these layers")
        self._told, self._outputs, self._dtype, self._library = told, plan.outputs, dtype, found
        self._values = sum(t.size for t in layout.tensors if t.role in TRAINABLE)
        widths = [t.size for t in layout.tensors if t.role in RUNNING]
        self._widths = np.array(widths, np.int32)
        self._dropped = np.array([count for count, _ in plan.dropouts], np.int32)
        self._spaces: dict[int, Workspace] = {}

    def gradient(
        self,
        images: Images,
        labels: Tensor,
        weights: Tensor,
        stats: list[Tensor],
        activations: Sequence[str],
        smoothing: Tensor,
        masks: Masks,
        updates: Updates | None = None,
    ) -> Step:
        """See `TorchStack.gradient`.

        With `updates`, the gradient of each net is applied as soon as it is there, while it is in
        the cache: weights and slots change, and no gradient is returned (its shape is [0, n]).
        """
        out = torch.empty_like(weights if updates is None else weights[:1])
        losses = torch.empty(3, len(weights), dtype=torch.float64)
        labels, smoothing = labels.contiguous(), smoothing.contiguous()
        masks = [mask if mask is None else mask.contiguous() for mask in masks]
        fields = None if updates is None else updates.fields(weights)
        self._run(
            images, weights, stats, activations, out,
            labels=labels.data_ptr(), smoothing=smoothing.data_ptr(), losses=losses.data_ptr(),
            masks=_pointers(masks), updates=None if fields is None else ctypes.addressof(fields),
        )  # fmt: skip
        return Step(out if fields is None else out[:0], *losses)

    def logits(
        self, images: Images, weights: Tensor, stats: list[Tensor], activations: Sequence[str]
    ) -> Tensor:
        """See `TorchStack.logits`."""
        shape = (*images.index.shape, self._outputs)
        out = torch.empty(shape, dtype=self._dtype)
        self._run(images, weights, stats, activations, out)
        return out

    def _run(
        self,
        images: Images,
        weights: Tensor,
        stats: list[Tensor],
        activations: Sequence[str],
        out: Tensor,
        masks: np.ndarray | None = None,
        **pointers: int | None,
    ) -> None:
        nets, samples = images.index.shape
        if weights.shape != (nets, self._values) or not weights.is_contiguous():
            raise ValueError(f"weights: {tuple(weights.shape)} is not [{nets}, {self._values}]")
        index, places = images.index.contiguous(), None
        levels, made = images.levels(self._dtype), None
        if images.pool.dtype != torch.uint8:
            made, rows = images.values(self._dtype).contiguous(), torch.arange(nets)
        elif images.made is not None and images.rows is not None:
            made, rows = images.augmented(self._dtype).contiguous(), images.rows
        if made is not None:
            places = np.zeros(nets, np.uintp)
            size = made[0].numel() * made.element_size()
            places[rows.numpy()] = made.data_ptr() + np.arange(len(made)) * size
        functions = np.array([ACTIVATIONS.index(name) for name in activations], np.int32)
        at_stats = _pointers(stats)
        call = _Call(
            nets=nets,
            values=self._values,
            pool=images.pool.data_ptr(),
            index=index.data_ptr(),
            images=None if places is None else places.ctypes.data,
            levels=None if levels is None else levels.data_ptr(),
            weights=weights.data_ptr(),
            stats=at_stats.ctypes.data,
            widths=self._widths.ctypes.data,
            masks=None if masks is None else masks.ctypes.data,
            dropped=self._dropped.ctypes.data,
            activation=functions.ctypes.data,
            out=out.data_ptr(),
            **pointers,
        )
        if samples not in self._spaces:
            self._spaces[samples] = Workspace(self._told, samples, self._dtype, self._library)
        self._spaces[samples].run(call, "labels" in pointers)


def _pointers(tensors: Sequence[Tensor | None]) -> np.ndarray:
    return np.array([0 if t is None else t.data_ptr() for t in tensors], np.uintp)
