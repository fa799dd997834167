"""Where evidence says less of the claimed training than of the net: earlier training, passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from weightspace.audit.claims import Claims
from weightspace.audit.facts import STORED
from weightspace.audit.numbers import is_number
from weightspace.evidence import Context, Evidence
from weightspace.evidence.beside import SETTINGS, STATES
from weightspace.evidence.counters import LAW as COUNTERS
from weightspace.evidence.counting import judge
from weightspace.evidence.grids import LAW as GRIDS
from weightspace.evidence.grids import LEVELS
from weightspace.evidence.losses import AS_SAID, LINEAR
from weightspace.evidence.record import Value

_OF_TRAINING = ("optimizer", "momentum", "learning_rate", "weight_decay", "schedule", "batch_size",
                "epochs", "steps", "dataset", "train_images", "drop_last", "initialization", "seed",
                "label_smoothing", "dropout", "augmentation", "inputs")  # fmt: skip
_OF_THE_FILE = (STATES, SETTINGS)
_LARGE = 1e-3
"""An epsilon from which on adaptive steps may be linear in the gradient: it exceeds gradients."""


def of_this_training(evidence: Sequence[Evidence], claims: Claims) -> Iterator[Evidence]:
    """The evidence, which decides nothing of a training that went on from another.

    Laws of training speak of all that happened since the first weights. What the file states is of
    the last training.

    Yields
    ------
    Evidence
    """
    further = claims.get("pretrained_from") is not None
    for one in evidence:
        decides = bool(one.hypotheses) or one.estimate is not None
        if further and decides and one.claim in _OF_TRAINING and one.law not in _OF_THE_FILE:
            says = f"{one.says}; the training before this one has left traces too"
            yield replace(one, says=says, hypotheses=(), estimate=None)
        else:
            yield _with_epsilon(one, claims.get("epsilon"))


def _with_epsilon(one: Evidence, epsilon: Value | None) -> Evidence:
    """The evidence of column sums, which an adaptive step with a large epsilon keeps, too."""
    sums = any(hypothesis.name == AS_SAID for hypothesis in one.hypotheses)
    if not sums or not is_number(epsilon) or epsilon < _LARGE:
        return one
    hypotheses = tuple(
        replace(h, p_value=1.0) if h.values and h.values != LINEAR else h for h in one.hypotheses
    )
    says = f"{one.says}; with an epsilon of {epsilon:g} an adaptive step may be as good as linear"
    return replace(one, says=says, hypotheses=hypotheses)


def of_values(evidence: Sequence[Evidence]) -> Iterator[Evidence]:
    """The evidence, where the stored type decides nothing of values that lie on few levels.

    Yields
    ------
    Evidence
    """
    quantised = any(
        one.law == GRIDS and any(each.name == LEVELS for each in one.hypotheses) for one in evidence
    )
    for one in evidence:
        if quantised and one.law == STORED:
            says = f"{one.says}; but kernels were quantised"
            yield replace(one, says=says, hypotheses=())
        else:
            yield one


def of_steps(evidence: Sequence[Evidence], claims: Claims, context: Context) -> Iterator[Evidence]:
    """The evidence, where a counter decides nothing of a claimed number of steps.

    A step may have several passes, of which each is counted.

    Yields
    ------
    Evidence
    """
    claimed = claims.get("steps")
    for one in evidence:
        counted = one.law == COUNTERS and one.claim == "steps" and one.estimate is not None
        if claimed is None or not counted:
            yield one
            continue
        assert one.estimate is not None
        count = int(one.estimate.value)
        saved = {name: value for name, value in claims.values.items() if name == "checkpoint"}
        judged = judge(count, {"steps": claimed, **saved}, context)
        if count == claimed or judged.verdict == "contradicted":
            yield one
        else:
            says = "; ".join((one.says, *judged.excuses))
            yield replace(one, says=says, hypotheses=(), estimate=None)
