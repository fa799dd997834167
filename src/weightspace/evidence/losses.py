"""Which loss a law assumes: softmax cross entropy, if it is claimed; else others are possible."""

from __future__ import annotations

from weightspace.evidence.context import Context

OTHER_LOSS = 0.002
"""The least p-value that column sums give a linear optimizer if no loss is claimed. Nets of other
losses, such as squares or sigmoids, are a few in a hundred among those that people share, and SGD
changes their column sums. So the sums alone cannot contradict a claim of SGD."""

SOFTMAX = "cross_entropy"
"""How a claim of the loss names softmax cross entropy."""


_NOT_CLIPPED = (None, 0.0, False)


def _exact(context: Context) -> bool:
    """Whether the sum of gradients over classes is 0: clipping by value would change it."""
    clipped = context.claims.get("gradient_clipping") not in _NOT_CLIPPED
    return context.claims.get("loss") == SOFTMAX and not clipped


def least(context: Context) -> float:
    """The least p-value of a linear optimizer by column sums."""
    return 0.0 if _exact(context) else OTHER_LOSS


def unless(context: Context) -> str:
    """What a sentence about a changed sum adds, if no loss is claimed."""
    if context.claims.get("loss") == SOFTMAX:
        return "" if _exact(context) else ", if gradients were not clipped by value"
    return ", if the loss is softmax cross entropy"
