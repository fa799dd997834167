"""How much a forward pass of a module computes: a rough count that no version of torch changes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Work:
    """Multiplications, and output values of modules, of one image."""

    multiplications: int
    values: int

    @staticmethod
    @contextmanager
    def watched(net: nn.Module, images: int) -> Iterator[Watch]:
        """Count what happens in a block."""
        watch = Watch(images)
        hooks = [module.register_forward_hook(watch) for module in net.modules()]
        try:
            yield watch
        finally:
            for hook in hooks:
                hook.remove()


class Watch:
    """A forward hook: each kernel is multiplied once for each position of its output."""

    def __init__(self, images: int) -> None:
        self._images, self._multiplied, self._values = images, 0, 0
        self._called: set[nn.Module] = set()

    def __call__(self, module: nn.Module, given: Any, output: Any) -> None:
        """Count one call of one module."""
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, Tensor):
            return
        if not any(True for _ in module.children()):
            self._values += first.numel()
        kernels = [p for p in module.parameters(recurse=False) if p.dim() > 1]
        if kernels and first.dim():
            side = first.shape[2:] if isinstance(module, _CONVOLUTIONS) else first.shape[1:-1]
            self._multiplied += math.prod(side) * sum(p.numel() for p in kernels) * self._images
            self._called.add(module)

    def of(self, net: nn.Module) -> Work:
        """The result; a parameter that no module multiplied counts once."""
        there = sum(p.numel() for p in net.parameters())
        multiplied = max(self._multiplied // self._images, there)
        return Work(multiplied, max(self._values // self._images, 1))
