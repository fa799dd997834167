"""Kinship: what two checkpoints have in common, with an exact p-value against independence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from weightspace.checkpoints.inspection.inspect import Inspection
from weightspace.checkpoints.opening import open_net
from weightspace.evidence.alignment import Floats, OrderTest, correlations, cosine, order_test
from weightspace.evidence.beginnings import initial_family
from weightspace.evidence.comparison import Comparison, TensorPair
from weightspace.evidence.exchangeable import has_diagonal, ordered_because
from weightspace.evidence.pairing import Pair, Pairing, pairing
from weightspace.evidence.permuting import aligned
from weightspace.evidence.resemblance import are_equal, block, relation
from weightspace.evidence.spectra import learned_energy
from weightspace.evidence.subject import Layer, Subject, of_checkpoint

ALPHA = 1e-4
"""The p-value below which nets are called related, for all kernels together."""
TUNED, APART = 0.3, 0.42
"""Of the learned energy: nets that differ by less share learned weights; by more, only initial
ones. Both were set on nets of other seeds than those that the tables are made of."""
ALIKE = 0.8
"""The correlation of permuted units, where the matching did not look, of nets that share them."""
_COPIES = ("equal", "rounded to bfloat16", "rounded to float16", "quantised", "pruned")
_COPY = 0.5  # the cosine of copies, the pruned ones too
_ENOUGH = 16  # hidden units in all, without which "unrelated" is not said
_BUFFERS = ("num_batches_tracked", "running_mean", "running_var", "moving_mean", "moving_variance")


@dataclass(frozen=True)
class _Kernel:
    """A pair of kernels, what was seen of it, and the sampled values, [units, inputs]."""

    pair: Pair
    seen: TensorPair
    test: OrderTest | None = None
    learned: tuple[float, float] = (0.0, 0.0)
    difference: float = 0.0


def compare(
    first: str | Path, second: str | Path, *, key: str | None = None, other_key: str | None = None
) -> Comparison:
    """Say whether two checkpoints have a common origin; nothing in them is executed.

    Parameters
    ----------
    first, second : str or Path
        Files of any form that `read_checkpoint` reads. They need not be of one form.
    key, other_key : str, optional
        Which of several state dicts is the net, in the first file and in the second.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        If a file is missing, damaged, or of no known form. The message is one line.

    Notes
    -----
    All values are read as long as they are equal. Otherwise up to 256 units and 4,096 inputs of
    each kernel are looked at. docs/laws/kinship.md derives the p-value, and has error rates.

    Examples
    --------
    >>> import tempfile, torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(9, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(net.state_dict(), f"{folder}/net.pt")
    ...     torch.save({"model": net.bfloat16().state_dict()}, f"{folder}/half.pt")
    ...     found = compare(f"{folder}/net.pt", f"{folder}/half.pt")
    >>> found.verdict, found.says
    ('same weights', ('The weights are the same, rounded to bfloat16.',))
    """
    with open_net(first, key=key) as one, open_net(second, key=other_key) as other:
        found = compared(
            of_checkpoint(one), of_checkpoint(other), ages(one.inspection), ages(other.inspection)
        )
        return replace(found, first=str(first), second=str(second))


def compared(
    first: Subject, second: Subject, age: Mapping[str, float] | None = None,
    other_age: Mapping[str, float] | None = None,
) -> Comparison:  # fmt: skip
    """Say whether two nets have a common origin.

    Parameters
    ----------
    first, second : Subject
        The nets.
    age, other_age : dict of str to float, optional
        How long each was trained, by what tells it (see `ages`).

    Returns
    -------
    Comparison
    """
    pairs = pairing(first, second)
    kernels = [_kernel(first, second, pair) for pair in pairs.pairs if pair.layers]
    others = [_other(first, second, pair) for pair in pairs.pairs if not pair.layers]
    tests = sum(kernel.test is not None for kernel in kernels)
    kernels = [replace(kernel, seen=_judged(kernel, tests)) for kernel in kernels]
    seen = {one.first: one for one in (*others, *(kernel.seen for kernel in kernels))}
    found = Comparison(
        "", "", "", "none", (),
        tensors=tuple(seen[pair.first] for pair in pairs.pairs),
        only_first=pairs.only_first, only_second=pairs.only_second,
    )  # fmt: skip
    return (
        _copies(found, kernels)
        or _akin(found, first, second, kernels, age or {}, other_age or {})
        or _in_another_order(found, first, second, pairs)
        or _not_akin(found, kernels)
    )


def ages(inspection: Inspection) -> dict[str, float]:
    """How long a net was trained, by what tells it: batches, optimizer steps, epochs."""
    found: dict[str, float] = {}
    if inspection.batches:
        found["batches seen by batch norms"] = max(inspection.batches.values())
    steps = [state.steps[1] for state in inspection.optimizers if state.steps]
    if steps:
        found["optimizer steps"] = max(steps)
    for kind in ("epoch", "step"):
        counts = [
            fact.value
            for fact in inspection.facts
            if fact.kind == kind and type(fact.value) in (int, float)
        ]
        if counts:
            found[f"stored {kind}s"] = max(counts)
    return found


def _kernel(first: Subject, second: Subject, pair: Pair) -> _Kernel:
    assert pair.layers is not None
    one, other = pair.layers
    seen = TensorPair(pair.first, pair.second, one.shape, "differs")
    if are_equal(first, second, pair):
        return _Kernel(pair, replace(seen, relation="equal", correlation=1.0))
    a, b = block(first, one), block(second, other)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return _Kernel(pair, replace(seen, note="values are not finite"))
    wide, beside = a.astype(np.float64), b.astype(np.float64)
    made = relation(a, b) if cosine(wide, beside) > _COPY else ""
    similarity = correlations(wide, beside)
    seen = replace(seen, relation=made or "differs", correlation=float(np.diag(similarity).mean()))
    kernel = _Kernel(pair, seen, None, *_energies(wide, beside))
    because = ordered_because(first, first.layers.index(one)) or ordered_because(
        second, second.layers.index(other)
    )
    if because or has_diagonal(a, one.inputs) or has_diagonal(b, other.inputs):
        return replace(kernel, seen=replace(seen, note=because or "it has a diagonal of its own"))
    if len(np.unique(a, axis=0)) < len(a) / 2 or len(np.unique(b, axis=0)) < len(b) / 2:
        return replace(kernel, seen=replace(seen, note="many units are equal"))
    return replace(kernel, test=order_test(similarity))


def _judged(kernel: _Kernel, tests: int) -> TensorPair:
    """What was seen of a kernel, in view of the number of kernels that were tested."""
    if kernel.test is None:
        return kernel.seen
    seen = replace(kernel.seen, p_value=kernel.test.p_value)
    if seen.relation != "differs":
        return seen
    akin = kernel.test.p_value * tests <= 1e-3
    return replace(seen, relation="related" if akin else "no sign of kinship")


def _other(first: Subject, second: Subject, pair: Pair) -> TensorPair:
    equal = are_equal(first, second, pair)
    return TensorPair(
        pair.first, pair.second, first.shapes[pair.first], "equal" if equal else "differs"
    )


def _is_buffer(name: str) -> bool:
    return name.endswith(_BUFFERS)


def _copies(found: Comparison, kernels: Sequence[_Kernel]) -> Comparison | None:
    """The verdict where all kernels are copies, or some, and some are not; None for others."""
    ways = Counter(kernel.seen.relation for kernel in kernels)
    copies = sum(ways[way] for way in _COPIES)
    if not copies:
        return None
    apart = [name for name in (*found.only_first, *found.only_second) if not _is_buffer(name)]
    if copies < len(kernels) or any(_is_kernel_name(found, name) for name in apart):
        return _shared(found, kernels, apart)
    how = [way for way in _COPIES[1:] if ways[way]]
    changed = [t for t in found.tensors if t.relation == "differs" and not _is_buffer(t.first)]
    if how:
        says = f"The weights are the same, {' and '.join(how)}."
        return replace(found, verdict="same weights", strength="exact", says=(says,))
    if changed or apart:
        names = _listed([t.first for t in changed] or apart)
        says = f"All kernels are equal; {names} {'is' if len(changed or apart) == 1 else 'are'} not."
        return replace(found, verdict="partly shared", strength="exact", says=(says,))
    told = ["All weights are equal."]
    if renamed := sum(t.first != t.second for t in found.tensors):
        told.append(f"{renamed} of {len(found.tensors)} tensors have other names.")
    if any(t.relation == "differs" for t in found.tensors):
        told.append("Counters or running statistics of norms differ.")
    return replace(found, verdict="identical", strength="exact", says=tuple(told))


def _is_kernel_name(found: Comparison, name: str) -> bool:
    return not name.endswith(("bias", ".b", "/b")) and bool(name)


def _shared(found: Comparison, kernels: Sequence[_Kernel], apart: Sequence[str]) -> Comparison:
    same = [kernel.seen.first for kernel in kernels if kernel.seen.relation in _COPIES]
    changed = [kernel.seen.first for kernel in kernels if kernel.seen.relation not in _COPIES]
    akin = [kernel.seen.first for kernel in kernels if kernel.seen.relation == "related"]
    says = [f"{len(same)} of {len(kernels)} kernels are equal: {_listed(same)}."]
    if changed:
        says.append(f"Others differ: {_listed(changed)}.")
    if akin:
        says.append(f"Of these, some are related: {_listed(akin)}.")
    if apart:
        says.append(f"Without a partner of their shape: {_listed(apart)}.")
    return replace(found, verdict="partly shared", strength="exact", says=tuple(says))


def _akin(
    found: Comparison, first: Subject, second: Subject, kernels: Sequence[_Kernel],
    age: Mapping[str, float], other_age: Mapping[str, float],
) -> Comparison | None:  # fmt: skip
    """The verdict where units are in one order; None if they are not."""
    tested = [kernel for kernel in kernels if kernel.test is not None]
    found = replace(found, p_value=_together(tested))
    if found.p_value is None or found.p_value > ALPHA:
        return None
    drift = _drift(kernels)
    best = min(tested, key=lambda kernel: kernel.seen.p_value or 0.0)
    assert best.test is not None
    says = [
        f"{best.test.fixed} of {best.test.units} units of {best.seen.first} match their own place "
        f"best (correlation {best.test.mean:.2f}); unrelated nets do so with p <= "
        f"{found.p_value:.1g}."
    ]
    strength = "very strong" if found.p_value < 1e-9 else "strong"
    found = replace(found, strength=strength, drift=drift)
    fresh = [_at_start(net, k) for k, net in enumerate((first, second))]
    if any(fresh) or (drift is not None and drift >= APART):
        says.insert(0, _from_the_start(fresh))
        return replace(found, verdict="same initial weights", says=(*says, *_unlike(kernels)))
    if drift is None or drift > TUNED:
        says.insert(0, "The nets share initial weights, or one continues the other; which of it "
                       "cannot be told.")  # fmt: skip
        return replace(found, verdict="related", says=(*says, *_unlike(kernels)))
    direction, because = _direction(age, other_age)
    says.insert(0, _tuned(direction, because, drift))
    return replace(
        found, verdict="fine-tuned", direction=direction, says=(*says, *_unlike(kernels))
    )


def _together(tested: Sequence[_Kernel]) -> float | None:
    """The p-value for all kernels: the smallest, times their number (Bonferroni)."""
    values = [kernel.test.p_value for kernel in tested if kernel.test is not None]
    return min(1.0, len(values) * min(values)) if values else None


def _drift(kernels: Sequence[_Kernel]) -> float | None:
    """The squared difference, as a share of what the net that learned less has learned."""
    both = [kernel for kernel in kernels if min(kernel.learned) > 0]
    learned = min(sum(kernel.learned[side] for kernel in both) for side in (0, 1))
    return sum(kernel.difference for kernel in both) / learned if learned > 0 else None


def _at_start(net: Subject, _: int) -> bool:
    """Whether all kernels look as an initialization made them."""
    known = [
        initial_family(block(net, layer), layer.fan_in, layer.fan_out)
        for layer in net.layers
        if layer.outputs * layer.fan_in >= 200
    ]
    return bool(known) and all(known)


def _from_the_start(fresh: Sequence[bool]) -> str:
    if all(fresh):
        return "Both nets are close to the same initial weights."
    if any(fresh):
        which, other = ("first", "second") if fresh[0] else ("second", "first")
        return f"The {which} net is at its initial weights, or close; the {other} began there."
    return "The nets began with the same initial weights (one seed), and were trained apart."


def _tuned(direction: str, because: str, drift: float) -> str:
    share = f"they differ by {100 * drift:.2g} % of what was learned"
    if not direction:
        return (f"The nets share learned weights ({share}): one continues the other, or both "
                "continue a third.")  # fmt: skip
    one, other = ("second", "first") if direction == "first to second" else ("first", "second")
    return f"The {one} net continues the {other}: {share}; {because}."


def _direction(age: Mapping[str, float], other: Mapping[str, float]) -> tuple[str, str]:
    """Which net is the later one, and what tells it; counters of batch norms tell most."""
    for what, count in age.items():
        if what in other and other[what] != count:
            more = other[what] > count
            because = f"{what}: {count:,g} and {other[what]:,g}"
            return ("first to second" if more else "second to first"), because
    return "", ""


def _unlike(kernels: Sequence[_Kernel]) -> tuple[str, ...]:
    apart = [k.seen.first for k in kernels if k.seen.relation == "no sign of kinship"]
    return (f"No sign of kinship in {_listed(apart)}.",) if apart else ()


def _in_another_order(
    found: Comparison, first: Subject, second: Subject, pairs: Pairing
) -> Comparison | None:
    """The verdict where hidden units are in another order; None if they are not, or too unlike."""
    layers = [pair.layers for pair in pairs.pairs if pair.layers]
    if not len(layers) == len(first.layers) == len(second.layers):
        return None
    place = {layer.weight: number for number, layer in enumerate(first.layers)}
    layers.sort(key=lambda both: place[both[0].weight])
    turned = aligned(first, second, layers)
    if turned is None:
        return None
    ways = {_way(a, b) for a, b in turned.kernels}
    if ways <= set(_COPIES):
        how = " and ".join(sorted(ways - {"equal"}))
        biases = all(np.array_equal(a, b) for a, b in turned.biases)
        says = [f"The weights are the same, with hidden units in another order{how and ', ' + how}."]
        if not biases and not how:
            says.append("Biases differ.")
        return replace(found, verdict="same weights", strength="exact", permuted=True,
                       p_value=None, says=tuple(says))  # fmt: skip
    drift = _drift([_of_rows(a, b, pairs.pairs[0]) for a, b in turned.kernels])
    if drift is None or drift > TUNED or turned.alike < ALIKE:
        return None
    says = [
        f"The nets share learned weights, with hidden units in another order: matched units "
        f"correlate by {turned.alike:.2f} where the matching did not look, and differ by "
        f"{100 * drift:.2g} % of what was learned.",
        "There is no exact p-value for this; docs/laws/kinship.md has measured error rates.",
    ]
    return replace(found, verdict="fine-tuned", strength="measured", permuted=True, drift=drift,
                   p_value=None, says=tuple(says))  # fmt: skip


def _of_rows(a: np.ndarray, b: np.ndarray, pair: Pair) -> _Kernel:
    energies = _energies(a.astype(np.float64), b.astype(np.float64))
    return _Kernel(pair, TensorPair("", "", a.shape, ""), None, *energies)


def _energies(a: Floats, b: Floats) -> tuple[tuple[float, float], float]:
    """What each kernel has learned, and their squared difference, as if both were of one length."""
    one, other = float((a**2).sum()), float((b**2).sum())
    if min(one, other) == 0:
        return (0.0, 0.0), 0.0
    both = (one * other) ** 0.5
    learned = learned_energy(a) / one * both, learned_energy(b) / other * both
    return learned, 2 * both * (1 - cosine(a, b))


def _way(a: np.ndarray, b: np.ndarray) -> str:
    if np.array_equal(a, b):
        return "equal"
    near = cosine(a.astype(np.float64), b.astype(np.float64)) > _COPY
    return relation(a, b) if near else ""


def _not_akin(found: Comparison, kernels: Sequence[_Kernel]) -> Comparison:
    if not kernels:
        says = "The nets have no kernels of one shape."
        return replace(found, verdict="not comparable", says=(says,))
    tested = [kernel for kernel in kernels if kernel.test is not None]
    units = sum(kernel.test.units for kernel in tested if kernel.test)
    if units < _ENOUGH:
        reasons = {kernel.seen.note for kernel in kernels if kernel.seen.note}
        says = f"Too few hidden units whose order could tell: {'; '.join(sorted(reasons))}."
        return replace(found, verdict="undecidable", says=(says,))
    says = (
        f"No sign of a common origin in the order of {units} hidden units of {len(tested)} "
        f"kernels (p = {found.p_value if found.p_value is not None else _together(tested):.2g})."
    )
    warned = "A net whose units were permuted and that was then trained on for long looks the same."
    return replace(found, verdict="unrelated", strength="measured", p_value=_together(tested),
                   says=(says, warned))  # fmt: skip


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
