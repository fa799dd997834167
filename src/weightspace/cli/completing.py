"""What a shell offers when a person presses Tab.

A Tab must answer at once, so names from sub-packages that take seconds to load are repeated here;
`tests/cli/test_completing.py` compares them with the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

Completer = Callable[[str], list[str]]

CLASSIFIERS = (
    "shallow", "kernel", "forest", "logistic", "svm", "boosted-statistics", "boosted",
    "boosted-layers", "pooled", "layers", "ensemble", "raw", "paper", "patches", "sequence",
)  # fmt: skip
ANALYSES = ("bare", "numbers", "slices", "transfer", "what", "map", "unseen")
CLAIMS = (
    "optimizer", "momentum", "learning_rate", "weight_decay", "batch_size", "epochs", "steps",
    "dataset", "train_images", "initialization", "seed", "activation", "batch_norm", "dropout",
    "loss", "label_smoothing", "augmentation", "pretrained_from", "precision", "schedule", "beta1",
    "beta2", "betas", "inputs", "epsilon", "classes", "architecture", "checkpoint",
    "weight_averaging", "drop_last", "gradient_clipping", "gradient_clipping_by",
    "output_activation", "bias_initialization", "gradient_accumulation",
)  # fmt: skip
AUDIT_FORMATS = ("text", "json", "html", "sarif", "cyclonedx", "markdown")
EXPORT_FORMATS = ("safetensors", "nws")
IMPORT_FORMATS = ("nws", "unterthiner", "modelzoos")
POPULATIONS = ("bench-small", "bench", "bench-wild")
ENCODERS = (
    "shallow", "kernel", "pooled", "layers", "boosted", "boosted-layers", "ensemble", "raw",
)  # fmt: skip
JUDGES = ("test", "validation")
PARTS = ("all", "conv", "fc")
DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "bfloat16")
ENGINES = ("local", "ray")


def presets() -> Iterable[str]:
    """The presets of spaces."""
    from weightspace.space import PRESETS

    return PRESETS


def properties() -> Iterable[str]:
    """The hyper-parameters that can be properties."""
    from weightspace.space.recipe import FIELDS

    return (name for name in FIELDS if name != "seed")


def image_sets() -> Iterable[str]:
    """The image sets that are known by name."""
    from weightspace.images.known import BUILT_IN, PUBLISHED

    return (*BUILT_IN, *PUBLISHED)


def one_of(names: Iterable[str] | Callable[[], Iterable[str]], end: str = "") -> Completer:
    """A completer of one name; `end` is put after it."""

    def complete(incomplete: str) -> list[str]:
        known = names() if callable(names) else names
        return [name + end for name in known if name.startswith(incomplete)]

    return complete


def some_of(names: Iterable[str] | Callable[[], Iterable[str]], *others: str) -> Completer:
    """A completer of comma-separated names; `others` stand alone."""

    def complete(incomplete: str) -> list[str]:
        known = names() if callable(names) else names
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        alone = () if comma else others
        return [
            f"{before}{comma}{name}"
            for name in (*known, *alone)
            if name.startswith(last) and name not in taken
        ]

    return complete
