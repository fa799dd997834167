"""Whether tensors are probably data, such as images or predictions, and not the weights of a net.

The rule: names of data decide, if at least half of the tensors have such names. Otherwise tensors
may be data if no name is that of a part of a net, no vector fits a kernel as its bias, and no
kernel takes what another gives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from weightspace.networks.roles.entries import Entry, short

_PART_OF_A_NET = re.compile(
    r"weight|kernel|bias|gamma|beta|scale|shift|running_|moving_|embed|emb\b|conv|dense|linear"
    r"|layer|att|norm|lstm|gru|rnn|filter|coef|theta|param|lora|hidden|proj"
    r"|(^|[._/])(fc|bn|ln|w|b|wh|wx|wih|whh|h|head|net|mlp)_?\d*([._/:]|$)",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Za-z]+")
_DATA = frozenset(
    (
        "x", "y", "xs", "ys", "data", "dataset", "image", "images", "img", "imgs", "pixels",
        "label", "labels", "target", "targets", "truth", "true", "class", "classes", "feature",
        "features", "sample", "samples", "input", "inputs", "pred", "preds", "prediction",
        "predictions", "predicted", "prob", "probs", "probabilities", "logit", "logits", "score",
        "scores", "train", "training", "test", "testing", "val", "valid", "validation", "dev",
        "count", "counts", "id", "ids", "index", "indices", "of", "and", "set",
        "gt", "ground", "softmax", "confusion", "matrix", "matrices", "cm", "raw", "pixel",
    )
)  # fmt: skip
_SHOWN = 3
_MOST_LOOKED_AT = 64


def doubt(entries: Sequence[Entry]) -> str:
    """A sentence, if the tensors may be data; empty if not.

    Examples
    --------
    >>> doubt([Entry("x_train", (60000, 28, 28), "float32")])
    'may be data, not weights, by the names x_train'
    """
    named = [entry.name for entry in entries if _is_data(entry.name)]
    if named and 2 * len(named) >= len(entries):
        more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        return (
            f"may be data, not weights, by the names {', '.join(map(short, named[:_SHOWN]))}{more}"
        )
    if any(_PART_OF_A_NET.search(short(entry.name)) for entry in entries):
        return ""
    floats = [e for e in entries if e.dtype.startswith(("float", "bfloat"))][:_MOST_LOOKED_AT]
    kernels = [entry for entry in floats if len(entry.shape) > 1 and entry.size]
    biases = {entry.size for entry in floats if len(entry.shape) == 1}
    if not kernels or any({k.shape[0], k.shape[-1]} & biases for k in kernels):
        return ""
    if any(_follows(one, two) for one in kernels for two in kernels if one is not two):
        return ""
    return (
        "may be data, not weights: no tensor has the name of a part of a net or is a bias, and "
        "none takes what another gives"
    )


def _is_data(name: str) -> bool:
    """Whether all words of the last component of a name are words for data."""
    last = re.split(r"[./]", name[-200:])[-1]
    words = _WORDS.findall(last.lower())
    return bool(words) and all(word in _DATA for word in words)


def _follows(one: Entry, two: Entry) -> bool:
    """Whether a kernel takes what another gives, outputs first or last, perhaps flattened."""
    a, b = one.shape, two.shape
    if a[0] == b[1] or (a[-1] == b[-2] and (len(a) == len(b) == 2 or a[-2:] != b[-2:])):
        return True
    if len(a) > 2 and len(b) == 2:
        return b[1] % a[0] == 0 or b[0] % a[-1] == 0
    return False
