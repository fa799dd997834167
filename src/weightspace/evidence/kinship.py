"""Kinship: what two checkpoints have in common, with an exact p-value against independence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

import numpy as np

from weightspace.checkpoints.inspection.inspect import Inspection
from weightspace.checkpoints.opening import open_net
from weightspace.evidence.beginnings import initial_family
from weightspace.evidence.comparison import Comparison, TensorPair
from weightspace.evidence.counters import keeps_average
from weightspace.evidence.kernelpairs import (
    COPIES,
    Kernel,
    copied,
    drift,
    energies,
    judged,
    kernel_pair,
    learned_share,
)
from weightspace.evidence.pairing import Pair, Pairing, pairing
from weightspace.evidence.permuting import aligned
from weightspace.evidence.resemblance import are_equal, block
from weightspace.evidence.subject import Subject, of_checkpoint

ALPHA = 1e-4
"""The p-value below which nets are called related, for all kernels together."""
TUNED, APART = 0.3, 0.42
"""Of the learned energy: nets that differ by less share learned weights; by more, only initial
ones. Both were set on nets of other seeds than those that the tables are made of."""
LEARNED = 0.4
"""The share of a net that must be learned, so that nets that differ by less than `TUNED` of it are
called fine-tuned: nets of one seed that learned little differ by little."""
ALIKE = 0.8
"""The correlation of permuted units, where the matching did not look, of nets that share them."""
_DOUBT = 0.45  # of the same; unrelated nets that were measured have at most 0.26
_ENOUGH = 16  # hidden units in all, without which "unrelated" is not said
_BUFFERS = ("num_batches_tracked", "running_mean", "running_var", "moving_mean", "moving_variance")


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
    kernels = [kernel_pair(first, second, pair) for pair in pairs.pairs if pair.layers]
    others = [_other(first, second, pair) for pair in pairs.pairs if not pair.layers]
    tests = sum(kernel.test is not None for kernel in kernels)
    kernels = [replace(kernel, seen=judged(kernel, tests)) for kernel in kernels]
    seen = {one.first: one for one in (*others, *(kernel.seen for kernel in kernels))}
    found = Comparison(
        "", "", "", "none", (),
        tensors=tuple(seen[pair.first] for pair in pairs.pairs),
        only_first=pairs.only_first, only_second=pairs.only_second,
    )  # fmt: skip
    layers = {layer.weight for net in (first, second) for layer in net.layers}
    in_order = _copies(found, kernels, layers) or _akin(
        found, first, second, kernels, age or {}, other_age or {}
    )
    if in_order is not None:
        return in_order
    found = _in_another_order(found, first, second, pairs)
    return found if found.verdict else _not_akin(found, kernels)


def ages(inspection: Inspection) -> dict[str, float]:
    """How long a net was trained, by what tells it: batches, optimizer steps, epochs."""
    found: dict[str, float] = {}
    if inspection.batches and not keeps_average(inspection):
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


def _other(first: Subject, second: Subject, pair: Pair) -> TensorPair:
    equal = are_equal(first, second, pair)
    return TensorPair(
        pair.first, pair.second, first.shapes[pair.first], "equal" if equal else "differs"
    )


def _is_buffer(name: str) -> bool:
    return name.endswith(_BUFFERS)


def _copies(found: Comparison, kernels: Sequence[Kernel], layers: Set[str]) -> Comparison | None:
    """The verdict where all kernels are copies, or some, and some are not; None for others."""
    ways = Counter(kernel.seen.relation for kernel in kernels)
    copies = sum(ways[way] for way in COPIES)
    if not copies:
        return None
    apart = [name for name in (*found.only_first, *found.only_second) if not _is_buffer(name)]
    if copies < len(kernels) or not layers.isdisjoint(apart):
        return _shared(found, kernels, apart)
    how = [way for way in COPIES[1:] if ways[way]]
    changed = [t for t in found.tensors if t.relation == "differs" and not _is_buffer(t.first)]
    if how:
        says = f"The weights are the same, {' and '.join(how)}."
        return replace(found, verdict="same weights", strength="exact", says=(says,))
    if changed or apart:
        names = _listed([t.first for t in changed] or apart)
        says = (
            f"All kernels are equal; {names} {'is' if len(changed or apart) == 1 else 'are'} not."
        )
        return replace(found, verdict="partly shared", strength="exact", says=(says,))
    told = ["All weights are equal."]
    if renamed := sum(t.first != t.second for t in found.tensors):
        told.append(f"{renamed} of {len(found.tensors)} tensors have other names.")
    if any(t.relation == "differs" for t in found.tensors):
        told.append("Counters or running statistics of norms differ.")
    return replace(found, verdict="identical", strength="exact", says=tuple(told))


def _shared(found: Comparison, kernels: Sequence[Kernel], apart: Sequence[str]) -> Comparison:
    same = [kernel.seen.first for kernel in kernels if kernel.seen.relation in COPIES]
    changed = [kernel.seen.first for kernel in kernels if kernel.seen.relation not in COPIES]
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
    found: Comparison, first: Subject, second: Subject, kernels: Sequence[Kernel],
    age: Mapping[str, float], other_age: Mapping[str, float],
) -> Comparison | None:  # fmt: skip
    """The verdict where units are in one order; None if they are not."""
    tested = [kernel for kernel in kernels if kernel.test is not None]
    found = replace(found, p_value=_together(tested))
    if found.p_value is None or found.p_value > ALPHA:
        return None
    measured = [kernel.energies for kernel in kernels]
    apart = drift(measured)
    best = min(tested, key=lambda kernel: kernel.seen.p_value or 0.0)
    assert best.test is not None
    says = [
        f"{best.test.fixed} of {best.test.units} units of {best.seen.first} match their own place "
        f"best (correlation {best.test.mean:.2f}); unrelated nets do so with p <= "
        f"{found.p_value:.1g}."
    ]
    strength = "very strong" if found.p_value < 1e-9 else "strong"
    found = replace(found, strength=strength, drift=apart)
    fresh = [_at_start(net) for net in (first, second)]
    if any(fresh) or (apart is not None and apart >= APART):
        says.insert(0, _from_the_start(fresh))
        return replace(found, verdict="same initial weights", says=(*says, *_unlike(kernels)))
    if apart is None or apart > TUNED or learned_share(measured) < LEARNED:
        says.insert(0, "The nets share initial weights, or one continues the other; which of it "
                       "cannot be told.")  # fmt: skip
        return replace(found, verdict="related", says=(*says, *_unlike(kernels)))
    direction, because = _direction(age, other_age)
    says.insert(0, _tuned(direction, because, apart))
    return replace(
        found, verdict="fine-tuned", direction=direction, says=(*says, *_unlike(kernels))
    )


def _together(tested: Sequence[Kernel]) -> float | None:
    """The p-value for all kernels: the smallest, times their number (Bonferroni)."""
    values = [kernel.test.p_value for kernel in tested if kernel.test is not None]
    return min(1.0, len(values) * min(values)) if values else None


def _at_start(net: Subject) -> bool:
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


def _tuned(direction: str, because: str, apart: float) -> str:
    share = f"they differ by {100 * apart:.2g} % of what was learned"
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


def _unlike(kernels: Sequence[Kernel]) -> tuple[str, ...]:
    apart = [k.seen.first for k in kernels if k.seen.relation == "no sign of kinship"]
    return (f"No sign of kinship in {_listed(apart)}.",) if apart else ()


def _in_another_order(
    found: Comparison, first: Subject, second: Subject, pairs: Pairing
) -> Comparison:
    """The verdict where hidden units are in another order; none if they are not, or too unlike."""
    layers = [pair.layers for pair in pairs.pairs if pair.layers]
    if not len(layers) == len(first.layers) == len(second.layers):
        return found
    place = {layer.weight: number for number, layer in enumerate(first.layers)}
    layers.sort(key=lambda both: place[both[0].weight])
    turned = aligned(first, second, layers)
    if turned is None:
        return found
    ways = {copied(a, b) for a, b in turned.kernels}
    if ways <= set(COPIES):
        how = " and ".join(sorted(ways - {"equal"}))
        says = f"The weights are the same, with hidden units in another order{how and ', ' + how}."
        near = all(np.allclose(a, b, rtol=0.01, atol=0.01) for a, b in turned.biases)
        told = (says,) if near else (says, "Biases differ.")
        return replace(found, verdict="same weights", strength="exact", permuted=True,
                       p_value=None, says=told)  # fmt: skip
    wide = [(a.astype(np.float64), b.astype(np.float64)) for a, b in turned.kernels]
    measured = [energies(a, b) for a, b in wide]
    apart = drift(measured)
    found = replace(found, drift=apart, alike=turned.alike)
    too_little = learned_share(measured) < LEARNED or turned.alike < ALIKE
    if apart is None or apart > TUNED or too_little:
        return found
    told = (
        f"The nets share learned weights, with hidden units in another order: matched units "
        f"correlate by {turned.alike:.2f} where the matching did not look, and differ by "
        f"{100 * apart:.2g} % of what was learned.",
        "There is no exact p-value for this; docs/laws/kinship.md has measured error rates.",
    )
    return replace(found, verdict="fine-tuned", strength="measured", permuted=True, p_value=None,
                   says=told)  # fmt: skip


def _not_akin(found: Comparison, kernels: Sequence[Kernel]) -> Comparison:
    if not kernels:
        says = "The nets have no kernels of one shape."
        return replace(found, verdict="not comparable", says=(says,))
    tested = [kernel for kernel in kernels if kernel.test is not None]
    units = sum(kernel.test.units for kernel in tested if kernel.test)
    if units < _ENOUGH:
        reasons = {kernel.seen.note for kernel in kernels if kernel.seen.note}
        says = f"Too few hidden units whose order could tell: {'; '.join(sorted(reasons))}."
        return replace(found, verdict="undecidable", says=(says,))
    if found.alike is not None and found.alike >= _DOUBT:
        says = (
            f"Units at the same place are not alike, but those that match best are "
            f"({found.alike:.2f} where the matching did not look): the nets may be relatives with "
            "hidden units in another order."
        )
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
