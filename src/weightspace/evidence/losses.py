"""What column sums say of families of optimizers, and what must hold for it.

That a linear optimizer keeps the sums holds under softmax cross entropy of the output layer's own
outputs. Nets of other losses, such as squares or sigmoids, are a few in a hundred among those that
people share, and some put a ReLU on the outputs, or clip gradients by value. SGD changes the sums
of all these.
"""

from __future__ import annotations

from collections.abc import Sequence

from weightspace.evidence.record import Hypothesis, Value

LINEAR: tuple[Value, ...] = ("sgd", "momentum", "nesterov")
ADAPTIVE: tuple[Value, ...] = (
    "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam",
)  # fmt: skip
OTHER_LOSS = 0.002
"""The least p-value that column sums give a linear optimizer: they alone contradict none."""

SOFTMAX = "cross_entropy"
"""How a claim of the loss names softmax cross entropy."""

AS_SAID = "linear, under softmax cross entropy of the outputs, gradients not clipped by value"
"""The name of the hypothesis with the p-value that a linear optimizer has if all of that holds."""

FROM_ZERO = "the same, and output biases that began at 0"
"""The same with what one claim more says of the start, `bias_initialization`."""

AS_BEGUN = "the same, and an output layer that began as claimed"
"""The same with what the claim `initialization` says of the start."""

UNLESS = (
    ", if the loss is softmax cross entropy of the outputs as they are, and gradients were not "
    "clipped by value"
)
"""What a sentence about a changed sum adds."""


def families(
    linear: float, adaptive: float, adaptive_kinds: Sequence[Value]
) -> tuple[Hypothesis, ...]:
    """The hypotheses of a linear optimizer, of an adaptive one, and of a linear one `AS_SAID`."""
    return (
        Hypothesis(LINEAR, max(OTHER_LOSS, linear), "linear"),
        Hypothesis(tuple(adaptive_kinds), adaptive, "adaptive"),
        Hypothesis((), linear, AS_SAID),
    )
