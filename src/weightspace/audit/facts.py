"""Evidence that the shapes, names and types of a file's tensors give, beside the laws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weightspace.audit import spelling
from weightspace.audit.claims import Claims
from weightspace.audit.numbers import is_number, same
from weightspace.audit.strength import words
from weightspace.audit.verdicts import ANY_OTHER
from weightspace.checkpoints import Inspection
from weightspace.evidence import Estimate, Evidence, Hypothesis
from weightspace.evidence.record import Value
from weightspace.printable import printable

_ACTIVATIONS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "GELU": "gelu",
                "Tanh": "tanh", "Sigmoid": "sigmoid", "SiLU": "silu", "SELU": "selu",
                "PReLU": "prelu", "Mish": "mish", "Softplus": "softplus",
                "Hardswish": "hardswish", "ReLU6": "relu6"}  # fmt: skip
_STATISTICS = ("running_var", "moving_variance", "batch_stats")
STORED = "stored format"
"""The name of what the type says in which values are stored."""
_GRID_VALUES = 1000  # so many values do not lie on a coarser grid by chance
_MERGING = ("ONNX", "GGUF")  # forms of exports, in which batch norms may be merged into layers


def facts_of(found: Inspection, claims: Claims) -> Iterator[Evidence]:
    """What a file says of itself that bears on claims.

    Parameters
    ----------
    found : Inspection
        What the file holds.
    claims : Claims
        What is claimed, which decides only how exact facts are put.

    Yields
    ------
    Evidence
    """
    yield from _batch_norm(found, claims)
    yield from _precision(found, claims)
    yield from _structure(found, claims)
    yield from _modules(found, claims)


def exactly(
    law: str, claim: str, values: Sequence[Value], says: str, claims: Claims, where: str = ""
) -> Evidence:
    """Evidence that is exact: one of `values` is the right one, and no other is.

    A claimed name that is not known is not judged, since it may be another word for the same.
    """
    claimed = claims.get(claim)
    hypotheses = [Hypothesis(tuple(values), 1.0, words(values))]
    if claimed is not None and not any(same(claimed, one) for one in values):
        if not spelling.is_known(claim, claimed):
            return Evidence(law, claim, says, where)
        hypotheses.append(Hypothesis((claimed,), 0.0))
    hypotheses.append(Hypothesis((), 0.0, ANY_OTHER))
    only = values[0] if len(values) == 1 else None
    estimate = None
    if is_number(only):
        exact = float(only)
        estimate = Estimate(claim, exact, exact, exact)
    return Evidence(law, claim, says, where, None, tuple(hypotheses), estimate)


def _batch_norm(found: Inspection, claims: Claims) -> Iterator[Evidence]:
    names = [note.name for note in (*found.used, *found.left_out)]
    statistics = next((name for name in names if any(word in name for word in _STATISTICS)), "")
    if statistics or found.batches:
        says = f"the net has batch norm: {printable(statistics or next(iter(found.batches)), 80)}"
        yield exactly("tensors", "batch_norm", (True,), says, claims, statistics)
        return
    net = found.architecture
    whole = net.kind in ("MLP", "CNN", "residual CNN") and not _is_doubtful(found)
    if whole and found.form not in _MERGING and not any(layer.norms for layer in net.layers):
        says = "no tensor of the file belongs to a batch norm"
        yield exactly("tensors", "batch_norm", (False,), says, claims)


def _is_doubtful(found: Inspection) -> bool:
    """Whether the file may be a part of a net, or no net."""
    words = ("only shard", "may be data", "two nets")
    return any(word in finding.text for finding in found.findings for word in words)


def _precision(found: Inspection, claims: Claims) -> Iterator[Evidence]:
    """The number format of the values, if it is one.

    Values that need float32 do not contradict a narrower one: mixed precision keeps float32.
    """
    floats = [name for name in found.dtypes if "float" in name]
    claimed, grid = claims.get("precision"), found.grid
    if len(floats) != 1 or claimed == "mixed":
        return
    (stored,) = floats
    says = f"all {found.dtypes[stored]:,} values are stored as {stored}"
    if stored in ("float32", "float64"):
        if grid is None or grid.dtype != stored or grid.values < _GRID_VALUES:
            return  # the law of number formats says what narrower one holds them
        if claimed not in (None, stored):
            return
        says += f", and no narrower format holds the {grid.values:,} checked ones"
    yield exactly(STORED, "precision", (stored,), says, claims)


def _structure(found: Inspection, claims: Claims) -> Iterator[Evidence]:
    net = found.architecture
    if _is_doubtful(found) or net.kind not in ("MLP", "CNN", "residual CNN"):
        return
    convolutions = sum(layer.kind == "convolution" for layer in net.layers)
    dense = len(net.layers) - convolutions
    says = f"the net has {_many(convolutions, 'convolution')} and {_many(dense, 'dense layer')}"
    if convolutions:
        fits: tuple[Value, ...] = ("resnet",) if net.kind == "residual CNN" else ("cnn",)
        fits = (*fits, "cnn", "resnet")
    else:
        fits = ("mlp",)
    if claims.get("architecture") in ("mlp", "cnn", "resnet"):
        yield exactly("shapes", "architecture", tuple(dict.fromkeys(fits)), says, claims)
    last = net.layers[-1]
    if found.plans.plans and last.kind == "dense":
        outputs = last.outputs
        classes = (1, 2) if outputs == 1 else (outputs,)
        says = f"the last layer, {printable(last.name, 80)}, has {_many(outputs, 'output')}"
        yield exactly("shapes", "classes", classes, says, claims, last.name)


def _modules(found: Inspection, claims: Claims) -> Iterator[Evidence]:
    """The activation, where the file holds whole modules; a function leaves no module."""
    kinds = {kind.rpartition(".")[2] for kind in found.modules.values()}
    names = tuple(sorted({_ACTIVATIONS[kind] for kind in kinds & _ACTIVATIONS.keys()}))
    if not names:
        return
    says = f"the file holds modules of {', '.join(names)}"
    if claims.get("activation") in (None, *names):
        yield exactly("modules", "activation", names, says, claims)
    else:
        yield Evidence("modules", "activation", says)


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
