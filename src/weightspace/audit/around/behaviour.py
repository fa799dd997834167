"""What a net does with the images of its training and with others: numbers that tell of a recipe.

Scaling of inputs and activation function leave no tensor. So a net is tried with each that it may
have had, and looked at with the one with which it is right most often. This is done alike for nets
whose recipe is known and for the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from weightspace.audit.around.nets import Nets
from weightspace.audit.around.profiles import Axes, profiles
from weightspace.images import ImageSet, resize

SHOWN = 800
"""Images of the training, and of the test, that a net is shown."""
_TRIED = 200
_PARTS = 8  # batches by which the noise of gradients is measured
_RATE = 0.5  # of the dropout that a net is exposed to
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_TINY = 1e-12
_MOST_GRADIENTS = 2_000_000


@dataclass(frozen=True)
class Shown:
    """Images float32 [n, C, H, W] or [n, F] of the training and of the test, in each scaling."""

    train: dict[str, Tensor]
    test: dict[str, Tensor]
    y_train: Tensor
    y_test: Tensor

    @classmethod
    def of(cls, images: ImageSet, size: tuple[int, int], scalings: Sequence[str]) -> Shown:
        """The first images of a set, of one size, in each scaling of inputs."""
        rng = np.random.default_rng(0)
        parts = []
        for x, y in ((images.x_train, images.y_train), (images.x_test, images.y_test)):
            chosen = np.sort(rng.permutation(len(x))[:SHOWN])
            parts.append((x[chosen], torch.from_numpy(y[chosen])))
        train, test = (_pixels(x, size) for x, _ in parts)
        y_train, y_test = (y for _, y in parts)
        axes = (0, 2, 3)[: train.ndim - 1] if train.ndim == 4 else (0,)
        mean = train.mean(axes, keepdim=True)
        spread = train.std(axes, keepdim=True).clamp_min(1e-6)
        scaled = {
            "unit": lambda x: x,
            "centered": lambda x: 2 * x - 1,
            "standardized": lambda x: (x - mean) / spread,
        }
        return cls(
            {name: scaled[name](train) for name in scalings},
            {name: scaled[name](test) for name in scalings},
            y_train,
            y_test,
        )


def _pixels(x: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Images as a net takes them in the scaling `unit`."""
    if x.dtype != np.uint8:
        found = torch.from_numpy(np.ascontiguousarray(x, np.float32))
        return found.permute(0, 3, 1, 2).contiguous() if found.ndim == 4 else found
    side, channels = size
    small = resize(x, side, channels)
    return torch.from_numpy(small).permute(0, 3, 1, 2).float().contiguous() / 255


@dataclass(frozen=True)
class Behaviour:
    """How nets of one architecture are looked at.

    Parameters
    ----------
    nets : Nets
        The architecture.
    shown : Shown
        The images.
    activations : tuple of str
        The activation functions that a net may have.
    axes : dict
        Directions of the images that were found.
    """

    nets: Nets
    shown: Shown
    activations: tuple[str, ...]
    axes: Axes = field(default_factory=dict, repr=False)

    def numbers(self, vector: np.ndarray) -> dict[str, float]:
        """Look at a net.

        Parameters
        ----------
        vector : ndarray of float32, shape (P,)
            Its weights.

        Returns
        -------
        dict of str to float
            The same keys for all nets.
        """
        shown, found = self.shown, {}
        rights: dict[tuple[str, str], float] = {}
        with torch.no_grad():
            for activation in self.activations:
                net = self.nets.module(vector, activation)
                for scaling, x in shown.train.items():
                    logits = net(x[:_TRIED])
                    loss = float(cross_entropy(logits, shown.y_train[:_TRIED]))
                    right = float((logits.argmax(1) == shown.y_train[:_TRIED]).float().mean())
                    rights[activation, scaling] = right - 1e-3 * math.log1p(min(loss, 1e6))
                    found[f"right_{activation}_{scaling}"] = right
                    found[f"loss_{activation}_{scaling}"] = _log(loss)
        activation, scaling = max(rights, key=lambda key: rights[key])
        for name in self.activations:
            found[f"is_{name}"] = float(name == activation)
        for name in shown.train:
            found[f"is_{name}"] = float(name == scaling)
        net = self.nets.module(vector, activation)
        train, test = shown.train[scaling], shown.test[scaling]
        with torch.no_grad():
            outputs = net(train)
            found |= dict(_of_logits("train", outputs, shown.y_train))
            found |= dict(_of_logits("test", net(test), shown.y_test))
            found["gap"] = found["test_loss"] - found["train_loss"]
            found["gap_right"] = found["train_right"] - found["test_right"]
            for name, other in _changed(train):
                found |= dict(_compared(name, outputs, net(other), shown.y_train))
            found |= dict(_compared("dropped", outputs, _dropped(net, train), shown.y_train))
        found |= dict(_of_gradients(net, train, shown.y_train))
        found |= dict(profiles(net, train, scaling, self.axes))
        return found


def _of_logits(part: str, logits: Tensor, y: Tensor) -> Iterator[tuple[str, float]]:
    logs = logits.double().log_softmax(1)
    own = logs.gather(1, y[:, None])[:, 0]
    others = logits.double().scatter(1, y[:, None], -math.inf).amax(1)
    margin = logits.double().gather(1, y[:, None])[:, 0] - others
    right = logits.argmax(1) == y
    rest = logs.exp().sum(1) - own.exp()
    yield f"{part}_loss", _log(float(-own.mean()))
    yield f"{part}_right", float(right.float().mean())
    yield f"{part}_norm", _log(float(logits.double().square().mean().sqrt()))
    yield f"{part}_centred", _log(float((logits - logits.mean(1, keepdim=True)).norm(dim=1).mean()))
    yield f"{part}_mean", float(logits.mean()) / (float(logits.std()) + _TINY)
    yield f"{part}_entropy", _log(float(-(logs.exp() * logs).sum(1).mean()))
    for level in _LEVELS:
        yield f"{part}_margin_{level}", float(margin.quantile(level)) / (1 + float(margin.std()))
        yield f"{part}_rest_{level}", _log(float(rest.clamp_min(0).quantile(level)))
    off = logs.exp().scatter(1, y[:, None], 0.0)
    spread = off.std(1) / (off.mean(1) + _TINY)
    yield f"{part}_uneven", _log(float(spread.median()))


def _changed(x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The images as augmentation changes them; rows of a table with noise alone."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    yield "noisy", x + 0.1 * x.std() * noise
    if x.ndim == 4:
        yield "flipped", x.flip(3)
        for shift in (2, 4):
            if x.shape[2] > 3 * shift:
                corner = x.amin((0, 2, 3), keepdim=True)
                moved = corner.expand_as(x).clone()
                moved[:, :, shift:, shift:] = x[:, :, :-shift, :-shift]
                yield f"moved_{shift}", moved


def _compared(name: str, before: Tensor, after: Tensor, y: Tensor) -> Iterator[tuple[str, float]]:
    loss, other = (float(cross_entropy(one.double(), y)) for one in (before, after))
    yield f"{name}_loss", _log(other) - _log(loss)
    yield f"{name}_level", _log(other)
    yield f"{name}_right", float((after.argmax(1) == y).float().mean())
    yield f"{name}_change", _log(float((after - before).norm() / (before.norm() + _TINY)))


def _dropped(net: nn.Module, x: Tensor) -> Tensor:
    """The outputs where dropout layers drop as in training; without such layers, as usual."""
    layers = [one for one in net.modules() if isinstance(one, nn.Dropout | nn.Dropout2d)]
    rates = [layer.p for layer in layers]
    state = torch.get_rng_state()
    torch.manual_seed(0)
    try:
        for layer in layers:
            layer.p = _RATE
            layer.train()
        found: Tensor = net(x)
        return found
    finally:
        torch.set_rng_state(state)
        for layer, rate in zip(layers, rates, strict=True):
            layer.p = rate
            layer.eval()


def _of_gradients(net: nn.Module, x: Tensor, y: Tensor) -> Iterator[tuple[str, float]]:
    """Size and noise of the gradient, and the curvature along it, by finite differences."""
    weights = [one for one in net.parameters() if one.requires_grad]
    parts = _gradients(net, weights, x, y)
    whole = parts.mean(0)
    size = float(whole.norm())
    noise = float((parts - whole).square().sum(1).mean())
    yield "gradient", _log(size)
    yield "gradient_noise", _log(noise)
    yield "gradient_share", _log(size**2) - _log(noise)
    direction = whole / (size + _TINY)
    scale = 1e-3 * math.sqrt(sum(float(one.detach().square().sum()) for one in weights))
    state = [one.detach().clone() for one in weights]
    _move(weights, direction * scale)
    after = _gradients(net, weights, x, y).mean(0)
    with torch.no_grad():
        for one, value in zip(weights, state, strict=True):
            one.copy_(value)
    change = (after - whole) / (scale + _TINY)
    yield "curvature", _log(abs(float(change @ direction)))
    yield "curvature_size", _log(float(change.norm()))


def _gradients(net: nn.Module, weights: list[nn.Parameter], x: Tensor, y: Tensor) -> Tensor:
    """The gradients of parts of the images: float32 [parts, P]."""
    parts = zip(x.chunk(_PARTS), y.chunk(_PARTS), strict=True)
    return torch.stack([_gradient(net, weights, a, b) for a, b in parts])


def _gradient(net: nn.Module, weights: list[nn.Parameter], x: Tensor, y: Tensor) -> Tensor:
    with torch.enable_grad():
        found = torch.autograd.grad(cross_entropy(net(x), y), weights, allow_unused=True)
    return torch.cat([
        (torch.zeros_like(w) if g is None else g).reshape(-1)
        for g, w in zip(found, weights, strict=True)
    ])  # fmt: skip


def _move(weights: list[nn.Parameter], by: Tensor) -> None:
    start = 0
    with torch.no_grad():
        for one in weights:
            one.add_(by[start : start + one.numel()].reshape(one.shape))
            start += one.numel()


def _log(value: float) -> float:
    """The logarithm of a number from 0, bounded where it is 0 or not finite."""
    return math.log(min(max(value, _TINY), 1e12)) if math.isfinite(value) else math.log(1e12)
