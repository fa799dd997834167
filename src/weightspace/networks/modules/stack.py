"""M modules of one plan, together through `torch.func.vmap` or one after the other."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from weightspace.errors import UsageError
from weightspace.networks.batch import Images, Masks, Step
from weightspace.networks.modules.plan import ModulePlan
from weightspace.networks.modules.randomness import numbers_from
from weightspace.networks.modules.running import failed
from weightspace.networks.modules.tensors import everything

AGREE = {torch.float64: 1e-9, torch.float32: 1e-4}
"""How far gradients of nets together may be from those one by one, of the largest of a net.

They are compared in float64. Only a module that cannot compute in float64 is compared in float32.
"""
TIMED = 3

Both = Callable[[], object]


class ModuleStack:
    """Computes M modules, with the interface of `networks.stack.TorchStack`.

    Attributes
    ----------
    together : bool or None
        Whether the nets are computed by one call. None before the first step: it is decided there,
        by whether the results are the same and which way is faster.
    asked : bool or None
        What to decide: together if the results are the same, or one after the other. None measures
        it.
    reason : str
        Why the nets are computed one after the other.
    """

    def __init__(self, plan: ModulePlan, dtype: torch.dtype, device: torch.device) -> None:
        self._plan, self._dtype, self._device = plan, dtype, device
        self._one = _One(plan, dtype, device)
        self.together: bool | None = False if plan.draws else None
        self.asked: bool | None = None
        self.reason = "draws random numbers of its own" if plan.draws else ""

    def gradient(
        self,
        images: Images,
        labels: Tensor,
        weights: Tensor,
        stats: list[Tensor],
        activations: Sequence[str],
        smoothing: Tensor,
        masks: Masks,
    ) -> Step:
        """See `TorchStack.gradient`; where the module draws, `masks` ends with seeds int64 [M]."""
        x, dealt = images.values(self._dtype), [mask for mask in masks if mask is not None]
        if self.together is None and len(weights) > 1:
            self._decide(x, labels, weights, stats, smoothing, dealt)
        way = self._one.together if self.together else self._one.apart
        apart = self._plan.shape.apart(stats, len(weights))
        with self._told():
            gradient, (nll, correct, after), loss = way(x, labels, weights, apart, smoothing, dealt)
        with torch.no_grad():
            for stat, values in zip(stats, after, strict=True):
                stat.copy_(values.reshape(-1))
        self._one.refuse_changed()
        return Step(gradient, loss.double(), nll.double(), correct)

    @torch.no_grad()
    def logits(
        self, images: Images, weights: Tensor, stats: list[Tensor], activations: Sequence[str]
    ) -> Tensor:
        """See `TorchStack.logits`."""
        x = images.values(self._dtype)
        apart = self._plan.shape.apart(stats, len(x))
        with self._told():
            return self._one.logits(x, weights, apart, bool(self.together))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the user's code in a line; lack of memory is told by who gave the work."""
        try:
            yield
        except Exception as error:  # what a user's module raises may be anything
            if isinstance(error, MemoryError) or "memory" in str(error):
                raise
            raise failed(self._plan.module, error) from error

    def _decide(
        self,
        x: Tensor,
        labels: Tensor,
        weights: Tensor,
        stats: list[Tensor],
        smoothing: Tensor,
        masks: list[Tensor],
    ) -> None:
        """Whether nets are equal and faster together; found out once for each shape."""
        if self.asked is False:
            self.together, self.reason = False, "was faster one after the other"
            return
        key = (
            self.asked,
            self._plan,
            tuple(x.shape),
            self._dtype,
            str(self._device),
            torch.get_num_threads(),
        )
        if key not in _DECIDED:
            given = (x, labels, weights, self._plan.shape.apart(stats, len(x)), smoothing, masks)
            _DECIDED[key] = self._reason(*given)
        self.reason = _DECIDED[key]
        self.together = not self.reason

    def _reason(
        self,
        x: Tensor,
        labels: Tensor,
        weights: Tensor,
        apart: list[Tensor],
        smoothing: Tensor,
        masks: list[Tensor],
    ) -> str:
        """Why the nets are computed one after the other; empty if they are computed together."""
        given = (x, labels, weights, apart, smoothing, masks)
        try:
            differ = self._differ(torch.float64, *given)
        except Exception:  # what a user's module raises may be anything
            try:
                differ = self._differ(self._dtype, *given)
            except Exception as error:  # as above
                text = " ".join(str(error).split())
                return f"cannot be computed together ({type(error).__name__}: {text[:200]})"
        if differ:
            return "gives other results together"
        if self.asked:
            return ""
        ways = (self._one.together, self._one.apart)
        together, alone = (_seconds(partial(way, *given), self._device) for way in ways)
        return "" if together < alone else "is faster one after the other"

    def _differ(
        self,
        dtype: torch.dtype,
        x: Tensor,
        labels: Tensor,
        weights: Tensor,
        apart: list[Tensor],
        smoothing: Tensor,
        masks: list[Tensor],
    ) -> bool:
        """Whether results together and one after the other differ by more than rounding."""
        one = self._one if dtype == self._dtype else _One(self._plan, dtype, self._device)
        x, weights, smoothing = x.to(dtype), weights.to(dtype), smoothing.to(dtype)
        apart = [t.to(dtype) if t.is_floating_point() else t for t in apart]
        masks = [t.to(dtype) for t in masks]
        found = []
        for way in (one.together, one.apart):
            gradient, (_, _, after), _ = way(x, labels, weights, apart, smoothing, masks)
            logits = one.logits(x, weights, after, way == one.together)
            found.append([gradient, logits, *after])
        pairs = zip(*found, strict=True)
        return not all(_close(a.double(), b.double(), AGREE[dtype]) for a, b in pairs)


_DECIDED: dict[object, str] = {}


def _close(one: Tensor, other: Tensor, share: float) -> bool:
    """Whether two results [M, ...] agree, but for a share of the largest value of a net."""
    one, other = one.reshape(len(one), -1), other.reshape(len(other), -1)
    if not one.numel():
        return True
    largest = other.abs().amax(1).clamp(min=1e-12)
    apart = (one - other).abs().amax(1)
    return bool((apart <= share * largest).all())


def _seconds(work: Both, device: torch.device) -> float:
    """The fastest of a few calls."""
    times = []
    for _ in range(TIMED + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _places(net: nn.Module, tensor: Tensor) -> list[tuple[dict[str, Any], str]]:
    """The tables of modules in which a tensor is, and its name there; a tied one has several."""
    tables = [t for module in net.modules() for t in (module._parameters, module._buffers)]
    return [(table, key) for table in tables for key, value in table.items() if value is tensor]


@contextmanager
def _vectorised() -> Iterator[None]:
    """Attention as products, which vmap knows; silent where vmap computes one net after another."""
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        yield


Found = tuple[Tensor, tuple[Tensor, Tensor, list[Tensor]], Tensor]
"""Gradient [M, n]; nll [M], share of correct predictions [M], the other tensors; loss [M]."""


class _One:
    """A module whose tensors are handed in: the step of one net, and both ways to do M of them."""

    def __init__(self, plan: ModulePlan, dtype: torch.dtype, device: torch.device) -> None:
        self._plan, self._shape, self._device = plan, plan.shape, device
        net, self._deck = plan.make()
        self._net: nn.Module = net.to(device, dtype)
        handed = {piece.name for piece in plan.shape.pieces}
        tensors = everything(self._net)
        self._fixed = {name: t for name, t in tensors.items() if name not in handed}
        self._versions = self._version()
        self._evaluated_together = True
        # Where each tensor is: `torch.func.functional_call` takes longer than a small net does.
        self._trained = [_places(self._net, tensors[piece.name]) for piece in plan.shape.trained]
        self._kept = [_places(self._net, tensors[piece.name]) for piece in plan.shape.kept]

    def _version(self) -> list[int]:
        return [tensor._version for tensor in self._fixed.values()]

    def refuse_changed(self) -> None:
        """Refuse a module that changes, late, a buffer that it did not change at first."""
        if self._version() != self._versions:
            then = zip(self._fixed, self._versions, self._version(), strict=True)
            raise UsageError(
                self._plan.module.name,
                f"changes {next(name for name, before, now in then if before != now)} in a later "
                "step, but not in the first",
                "change it in each step, or let it be",
            )

    def together(
        self,
        x: Tensor,
        labels: Tensor,
        weights: Tensor,
        apart: list[Tensor],
        smoothing: Tensor,
        masks: list[Tensor],
    ) -> Found:
        """A step of M nets by one call."""
        self._net.train()

        def loss_of(flat: Tensor, *given: Any) -> Any:
            return self._loss(self._shape.parameters(flat), *given)

        step = vmap(grad_and_value(loss_of, has_aux=True), randomness="error")
        with _vectorised():
            gradient, (loss, rest) = step(weights, apart, x, labels, smoothing, masks)
        return gradient, rest, loss

    def apart(
        self,
        x: Tensor,
        labels: Tensor,
        weights: Tensor,
        apart: list[Tensor],
        smoothing: Tensor,
        masks: list[Tensor],
    ) -> Found:
        """A step of M nets, one after the other."""
        self._net.train()
        seeds = masks[-1].tolist() if self._plan.draws else None
        masks = masks[:-1] if seeds else masks
        found = []
        smooths = smoothing.tolist()
        for i in range(len(x)):
            leaves = [v.detach().requires_grad_() for v in self._shape.parameters(weights[i])]
            numbers = numbers_from(seeds[i], self._device) if seeds else nullcontext()
            with torch.enable_grad():
                with numbers:
                    loss, (nll, correct, after) = self._loss(
                        leaves,
                        [t[i] for t in apart],
                        x[i],
                        labels[i],
                        smoothing[i] if smooths[i][0] else None,
                        [m[i] for m in masks],
                    )
                pieces = torch.autograd.grad(
                    loss, leaves, allow_unused=True, materialize_grads=True
                )
            gradient = torch.cat([piece.reshape(-1) for piece in pieces])
            found.append((gradient, nll.detach(), correct, loss.detach(), after))
        gradients, nlls, corrects, losses, afters = zip(*found, strict=True)
        columns = [torch.stack(column).detach() for column in zip(*afters, strict=True)]
        rest = (torch.stack(nlls), torch.stack(corrects), columns)
        return torch.stack(gradients), rest, torch.stack(losses)

    def logits(self, x: Tensor, weights: Tensor, apart: list[Tensor], together: bool) -> Tensor:
        """Logits [M, B, outputs] in evaluation."""
        self._net.eval()

        def one(flat: Tensor, apart: list[Tensor], x: Tensor) -> Tensor:
            return self._call(self._shape.parameters(flat), apart, x)[0]

        if together and self._evaluated_together:
            try:
                with _vectorised():
                    return vmap(one, randomness="error")(weights, apart, x)
            except RuntimeError:  # of `nn.GRU`: vmap knows its gradient and not its evaluation
                self._evaluated_together = False
        nets = ((weights[i], [t[i] for t in apart], x[i]) for i in range(len(x)))
        if not self._plan.draws:
            return torch.stack([one(*net) for net in nets])
        found = []
        for net in nets:
            with numbers_from(0, self._device):
                found.append(one(*net))
        return torch.stack(found)

    def _loss(
        self,
        weights: list[Tensor],
        apart: list[Tensor],
        x: Tensor,
        labels: Tensor,
        smoothing: Tensor | None,
        masks: list[Tensor],
    ) -> tuple[Tensor, tuple[Tensor, Tensor, list[Tensor]]]:
        """The loss of one net, for its gradient; the rest is carried along."""
        self._deck.deal(masks)
        logits, after = self._call(weights, apart, x)
        log_p = torch.log_softmax(logits, 1)
        nll = F.nll_loss(log_p, labels)
        loss = nll if smoothing is None else (1 - smoothing) * nll - smoothing * log_p.mean()
        correct = (logits.argmax(1) == labels).double().mean()
        return loss.sum(), (nll.double(), correct, after)

    def _call(
        self, weights: list[Tensor], apart: list[Tensor], x: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits [B, outputs] of one net, and what became of the tensors that are not trained."""
        for places, value in zip(self._trained, weights, strict=True):
            for table, key in places:
                table[key] = value
        # A forward pass may change what is not trained in place.
        for places, value in zip(self._kept, apart, strict=True):
            copy = value.clone()
            for table, key in places:
                table[key] = copy
        logits: Tensor = self._net(x)
        return logits, [table[key] for (table, key), *_ in self._kept]
