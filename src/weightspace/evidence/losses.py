"""Which loss a law assumes: softmax cross entropy, if it is claimed; else others are possible."""

from __future__ import annotations

from weightspace.evidence.context import Context

OTHER_LOSS = 0.002
"""The least p-value that column sums give a linear optimizer if no loss is claimed. Nets of other
losses, such as squares or sigmoids, are a few in a hundred among those that people share, and SGD
changes their column sums. So the sums alone cannot contradict a claim of SGD."""

SOFTMAX = "cross_entropy"
"""How a claim of the loss names softmax cross entropy."""


def least(context: Context) -> float:
    """The least p-value of a linear optimizer by column sums."""
    return 0.0 if context.claims.get("loss") == SOFTMAX else OTHER_LOSS


def unless(context: Context) -> str:
    """What a sentence about a changed sum adds, if no loss is claimed."""
    return "" if context.claims.get("loss") == SOFTMAX else ", if the loss is softmax cross entropy"
