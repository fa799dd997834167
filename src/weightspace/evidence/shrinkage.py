"""By how much weight decay shrinks what gradients do not move, exactly.

SGD takes the step ``v' = mu v + a w``, ``w' = w - v'``, where `a` is learning rate x weight decay,
`mu` the momentum, and `v` begins at 0. With Nesterov's momentum it is ``w' = w - a w - mu v'``. In
both, `w` is a sum of two geometric sequences, whose ratios are the roots of ``r^2 - t r + d``.
"""

from __future__ import annotations

import math

PRODUCT = "weight_decay x learning_rate x steps / (1 - momentum)"
"""The name of what laws measure by a shrinkage: minus its logarithm. For a mild decay, this product
is the same."""

PRODUCT_OF_NORMED = "sum of learning_rate x weight_decay / (1 - momentum)"
"""The same, as biases and kernels before batch norms show it."""


def shrinkage(
    decay: float, momentum: float, steps: float, *, nesterov: bool = False
) -> tuple[float, float]:
    """Minus the logarithm of what some steps of SGD leave of weights that gradients do not move.

    Parameters
    ----------
    decay : float
        Learning rate x weight decay, from 0.
    momentum : float
        From 0 to less than 1.
    steps : float
        How many steps.
    nesterov : bool
        Whether the momentum is Nesterov's.

    Returns
    -------
    tuple of float
        The least and the greatest. They are equal, unless the weights oscillate about 0, which a
        decay does that is too strong for its momentum. Then the greatest is infinite, and the least
        is that of a size which they never exceed.

    Examples
    --------
    >>> round(shrinkage(0.001, 0.9, 1000)[0], 2)  # 0.001 x 1000 / (1 - 0.9) is 10
    11.07
    """
    first = 1 - decay * (1 + momentum) if nesterov else 1 - decay
    trace = (1 + momentum) * (1 - decay) if nesterov else 1 + momentum - decay
    product = momentum * (1 - decay) if nesterov else momentum
    square = trace**2 - 4 * product
    if square < 0 or trace <= 0 or product < 0:
        return _oscillating(first, trace, product, square, steps), math.inf
    root = (trace + math.sqrt(square)) / 2
    ratio = product / root**2  # of the lesser root to the greater
    passed = steps if ratio == 1 else (1 - ratio**steps) / (1 - ratio)
    found = -steps * math.log(root) - math.log1p((first / root - 1) * passed)
    return found, found


def _oscillating(first: float, trace: float, product: float, square: float, steps: float) -> float:
    """The least shrinkage of weights that oscillate.

    After T steps their size is at most ``T (first / r + 1) r^T``, where `r` is the greatest size of
    a root. They grow if `r` is more than 1.
    """
    size = math.sqrt(product) if square < 0 else (abs(trace) + math.sqrt(square)) / 2
    if size == 0 or steps < 1:
        return 0.0
    most = math.log(steps * (abs(first) / size + 1))
    return -steps * math.log(size) - most
