"""Evidence that a file itself gives: saved optimizers, settings, shapes, number formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from weightspace.audit import spelling
from weightspace.audit.claims import Claims
from weightspace.audit.numbers import is_number, same
from weightspace.audit.strength import number, words
from weightspace.audit.values import checked
from weightspace.audit.verdicts import STATED
from weightspace.checkpoints import Inspection
from weightspace.checkpoints.inspection.optimizers import OptimizerState
from weightspace.errors import UsageError
from weightspace.evidence import Estimate, Evidence, Hypothesis
from weightspace.evidence.record import Value
from weightspace.printable import printable

_KINDS = {
    "Adam or AdamW": ("adam", "adamw"), "Adam": ("adam",), "AdamW": ("adamw",), "SGD": ("sgd",),
    "SGD with Nesterov momentum": ("nesterov",), "RMSprop": ("rmsprop",), "Adagrad": ("adagrad",),
    "Adadelta": ("adadelta",), "Adamax": ("adamax",), "NAdam": ("nadam",), "RAdam": ("radam",),
    "Lion": ("lion",), "ASGD": ("asgd",), "Rprop": ("rprop",), "LBFGS": ("lbfgs",),
}  # fmt: skip
_STATED = ("optimizer", "learning_rate", "momentum", "weight_decay", "batch_size", "epochs",
           "seed", "dropout", "label_smoothing", "initialization", "activation",
           "dataset")  # fmt: skip
_OWN_WORDS = {"epochs": ("epoch",), "batch_size": ("batch",), "dataset": ("data",),
              "activation": ("act",), "optimizer": ("opt",)}  # fmt: skip
_ACTIVATIONS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "GELU": "gelu",
                "Tanh": "tanh", "Sigmoid": "sigmoid", "SiLU": "silu", "SELU": "selu",
                "PReLU": "prelu", "Mish": "mish", "Softplus": "softplus",
                "Hardswish": "hardswish", "ReLU6": "relu6"}  # fmt: skip
_STATISTICS = ("running_var", "moving_variance", "batch_stats")
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
    states = [state for state in found.optimizers if state.kind != "unknown"]
    if len({state.kind for state in states}) == 1:
        yield from _optimizer(states[-1], claims)
    yield from _settings(found, claims)
    yield from _epoch(found, claims)
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
    hypotheses.append(Hypothesis((), 0.0, "any other"))
    only = values[0] if len(values) == 1 else None
    estimate = None
    if is_number(only):
        exact = float(only)  # type: ignore[arg-type]
        estimate = Estimate(claim, exact, exact, exact)
    return Evidence(law, claim, says, where, None, tuple(hypotheses), estimate)


def _optimizer(state: OptimizerState, claims: Claims) -> Iterator[Evidence]:
    law, where = "saved optimizer", state.where
    kinds = _kinds(state)
    if kinds:
        says = f"the file holds the state of {printable(state.kind)}"
        yield exactly(law, "optimizer", kinds, says, claims, where)
    groups = [group for group in state.groups if group]
    for name in ("momentum", "weight_decay"):
        if groups and all(is_number(group.get(name)) for group in groups):
            values = list(dict.fromkeys(float(group[name]) for group in groups))
            values = [value for value in values if value] or values  # biases are often left out
            shown = " and ".join(number(one) for one in values)
            says = f"the saved optimizer has {name.replace('_', ' ')} {shown}"
            yield exactly(law, name, values, says, claims, where)
    if groups and all(_is_pair(group.get("betas")) for group in groups):
        pairs = list(dict.fromkeys(str(checked("betas", group["betas"])) for group in groups))
        says = f"the saved optimizer has betas {' and '.join(pairs)}"
        yield exactly(law, "betas", pairs, says, claims, where)
    yield from _rates(groups, claims, where)
    if state.steps is not None and state.steps[1] > 0:
        says = f"the saved optimizer has made {state.steps[1]:,} steps"
        yield exactly(law, "steps", [state.steps[1]], says, claims, where)


def _kinds(state: OptimizerState) -> tuple[str, ...]:
    """The names of recipes that a saved optimizer can have."""
    kinds = _KINDS.get(state.kind, ())
    groups = state.groups
    if kinds == ("sgd",) and any(group.get("momentum") for group in groups):
        return ("momentum",)
    decays = [group.get("weight_decay") for group in groups]
    if kinds in (("adam",), ("adamw",)) and all(decay == 0 for decay in decays):
        return ("adam", "adamw")  # which differ in weight decay alone
    return kinds


def _rates(groups: Sequence[Mapping[str, Any]], claims: Claims, where: str) -> Iterator[Evidence]:
    """The learning rate: that at the start if it was kept, else that of the last step.

    The last one decides nothing unless it is the claimed one: a schedule may have changed it.
    """
    law = "saved optimizer"
    first: list[Any] = [group.get("initial_lr") for group in groups]
    if groups and all(is_number(rate) for rate in first):
        tops = [group["max_lr"] for group in groups if is_number(group.get("max_lr"))]
        rates = list(dict.fromkeys(float(rate) for rate in (*first, *tops)))
        shown = " and ".join(number(rate) for rate in rates)
        says = f"the saved optimizer began with learning rate {shown}"
        yield exactly(law, "learning_rate", rates, says, claims, where)
        return
    now: list[Any] = [group.get("lr") for group in groups]
    last = [float(rate) for rate in now if is_number(rate)]
    if not last:
        return
    shown = " and ".join(number(rate) for rate in dict.fromkeys(last))
    says = f"the saved optimizer's learning rate is {shown}"
    claimed = claims.get("learning_rate")
    fixed = claims.get("schedule") == "constant"
    if fixed or (claimed is not None and any(same(claimed, rate) for rate in last)):
        rates = list(dict.fromkeys(last))
        yield exactly(law, "learning_rate", rates, says, claims, where)
    else:
        estimate = Estimate("learning rate when saved", last[0], last[0], last[0])
        yield Evidence(law, "learning_rate", f"{says} at the end; a schedule may have changed it",
                       where, None, (), estimate)  # fmt: skip


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value))


def _settings(found: Inspection, claims: Claims) -> Iterator[Evidence]:
    """What the settings of the training say, if a file keeps them and they are of one mind."""
    stated: dict[str, list[Value]] = {}
    places: dict[str, str] = {}
    for fact in found.facts:
        if fact.kind != "settings" or not isinstance(fact.value, Mapping):
            continue
        for key, value in fact.value.items():
            name = spelling.key(str(key))
            if name not in _STATED or spelling.plain(str(key)) in _OWN_WORDS.get(name, ()):
                continue
            if (read := _read(name, value)) is not None:
                stated.setdefault(name, []).append(read)
                places.setdefault(name, f"{fact.where}/{key}" if fact.where else str(key))
    for name, values in stated.items():
        if not all(same(value, values[0]) for value in values):
            continue
        fits: tuple[Value, ...] = (values[0],)
        if name == "optimizer" and values[0] == "sgd":
            fits = ("sgd", "momentum", "nesterov")
        says = f"the file's own settings say {name.replace('_', ' ')} {printable(values[0], 80)}"
        if spelling.is_known(name, values[0]):
            yield exactly(STATED, name, fits, says, claims, places[name])
        else:
            yield Evidence(STATED, name, says, places[name])


def _read(name: str, value: Any) -> Value | None:
    if name in ("learning_rate", "epochs", "batch_size") and value in (0, None):
        return None  # what programs have where nothing was given
    try:
        return checked(name, value)
    except UsageError:
        return None


def _epoch(found: Inspection, claims: Claims) -> Iterator[Evidence]:
    """The epoch that is stored: some programs count from 0, others from 1."""
    epochs = {fact.value for fact in found.facts if fact.kind == "epoch"}
    if len(epochs) != 1:
        return
    (epoch,) = epochs
    claimed = claims.get("epochs")
    says = f"the file was saved in or after epoch {number(epoch)}"
    if is_number(claimed) and float(claimed) in (epoch, epoch + 1):  # type: ignore[arg-type]
        yield exactly("stored epoch", "epochs", (epoch, epoch + 1), says, claims)
    else:
        yield Evidence("stored epoch", "epochs", says)


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
    """The number format of the values; training in mixed precision leaves float32 values."""
    floats = {name: n for name, n in found.dtypes.items() if "float" in name}
    if not floats or claims.get("precision") == "mixed":
        return
    (stored, count), *others = floats.items()
    if others:
        return
    grid = found.grid
    if stored in ("float32", "float64") and grid is not None and grid.dtype != stored:
        says = f"stored as {stored}, but {grid.dtype} holds all {grid.values:,} checked values"
        if grid.values >= _GRID_VALUES:
            yield exactly("number format", "precision", (grid.dtype,), says, claims)
        return
    says = f"all {count:,} values are stored as {stored}"
    if grid is not None:
        says += f", and no coarser format holds the {grid.values:,} checked ones"
    yield exactly("number format", "precision", (stored,), says, claims)


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
