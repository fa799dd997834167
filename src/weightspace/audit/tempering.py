"""Where evidence says less of the claimed training than of the net: earlier training, passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from weightspace.audit.claims import Claims
from weightspace.evidence import Context, Evidence
from weightspace.evidence.beside import SETTINGS, STATES
from weightspace.evidence.counters import LAW as COUNTERS
from weightspace.evidence.counting import judge

_OF_TRAINING = ("optimizer", "momentum", "learning_rate", "weight_decay", "schedule", "batch_size",
                "epochs", "steps", "dataset", "train_images", "drop_last", "initialization", "seed",
                "label_smoothing", "dropout", "augmentation", "inputs")  # fmt: skip
_OF_THE_FILE = (STATES, SETTINGS)


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
        judged = judge(count, {"steps": claimed}, context)
        if count == claimed or judged.verdict == "contradicted":
            yield one
        else:
            says = "; ".join((one.says, *judged.excuses))
            yield replace(one, says=says, hypotheses=(), estimate=None)
