"""What would decide a claim that is undecidable."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from weightspace.audit.claims import Claim
from weightspace.audit.spelling import NAMES
from weightspace.evidence.beside import STATES
from weightspace.evidence.record import Evidence

_AROUND = 'a population around it, by `around="auto"` and `data="NAME.npz"`'
_DATA = 'the training data, `data="NAME.npz"`'
_OPTIMIZER = "a checkpoint with the state of the optimizer, or a population around it"
_DECIDED_BY = {
    "optimizer": "claims `loss: cross_entropy`, `output_activation: none` and "
    "`gradient_clipping: 0`, and `initialization` and `bias_initialization: zeros`, as far as that "
    f"is so, or {_AROUND}",
    "momentum": "a checkpoint with the state of the optimizer, or claims of weight_decay, "
    "learning_rate and steps",
    "learning_rate": _AROUND,
    "weight_decay": "claims of learning_rate, momentum and steps, or a checkpoint with the state "
    "of the optimizer",
    "batch_size": _AROUND,
    "epochs": "for a net that counts its batches, or with the state of the optimizer, claims of "
    "batch_size, dataset or train_images, and `checkpoint: last` if the file is the end of the "
    "training",
    "steps": "a net with batch norm, which counts its batches, or the state of the optimizer; "
    "`checkpoint: last` if the file is the end of the training",
    "dataset": _DATA,
    "train_images": "claims of batch_size and epochs, for a net that counts its batches, or with "
    "the state of the optimizer",
    "initialization": "the weights before training, or a checkpoint that was trained less",
    "seed": "more seeds, `seeds=1000`",
    "activation": _AROUND,
    "inputs": "claims or evidence of the data set, whose pixels that never vary show it",
    "dropout": _AROUND,
    "label_smoothing": _AROUND,
    "loss": "nothing in the weights; other laws rest on it",
    "output_activation": "nothing in the weights; column sums rest on it",
    "bias_initialization": "the weights before training; column sums rest on it",
    "gradient_clipping_by": "nothing in the weights; column sums rest on it",
    "augmentation": _AROUND,
    "pretrained_from": "compare it with that file",
    "batch_norm": "the file of the training, where batch norms are not merged into layers",
    "weight_averaging": "nothing in the weights; other laws rest on it",
    "precision": "nothing: the weights of mixed precision are those of float32",
    "checkpoint": "nothing in the weights; counters rest on it",
    "schedule": "a checkpoint with the state of the schedule",
    "beta1": _OPTIMIZER,
    "beta2": _OPTIMIZER,
    "drop_last": "claims of batch_size, epochs and train_images, for a net that counts its batches",
    "gradient_clipping": "nothing in the weights",
    "epsilon": _OPTIMIZER,
    "gradient_accumulation": "nothing in the weights",
    "classes": "a file whose last layer is known",
    "architecture": "nothing that is known: the name is not one of mlp, cnn, resnet, transformer, "
    "recurrent",
}


def what_would_decide(claim: Claim, about: Sequence[Evidence]) -> str:
    """A sentence for people; "" if nothing is known that would."""
    if near := _near(claim):
        return f"{claim.value} is no name that is known; is {near} meant?"
    if claim.name == "dataset" and about:
        return _AROUND
    if claim.name == "learning_rate" and any(one.law == STATES for one in about):
        return "a claim of the schedule, such as constant"
    return _DECIDED_BY.get(claim.name, "")


def _near(claim: Claim) -> str:
    """The known name that an unknown one resembles, as of a typing error; "" if there is none."""
    known = NAMES.get(claim.name, {})
    # Data sets are too many for a table: imagenet21k is no misspelled imagenet.
    if claim.name == "dataset" or claim.value in known:
        return ""
    return next(iter(get_close_matches(str(claim.value), known, 1, 0.8)), "")
