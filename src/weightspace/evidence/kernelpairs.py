"""Two kernels side by side: copies or not, units in one order or not, how far apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from weightspace.evidence.alignment import Floats, OrderTest, correlations, cosine, order_test
from weightspace.evidence.comparison import TensorPair
from weightspace.evidence.exchangeable import has_diagonal, in_blocks, ordered_because
from weightspace.evidence.pairing import Pair
from weightspace.evidence.resemblance import are_equal, block, relation, rescaled
from weightspace.evidence.spectra import learned_energy
from weightspace.evidence.subject import Subject

COPIES = ("equal", "rounded to bfloat16", "rounded to float16", "quantised", "pruned", "rescaled")
_COPY = 0.5  # the cosine of copies, the pruned ones too


@dataclass(frozen=True)
class Energies:
    """What each of two kernels has learned, their squared difference, and the whole of each.

    They are those of kernels that were scaled to the geometric mean of their lengths.
    """

    learned: tuple[float, float] = (0.0, 0.0)
    difference: float = 0.0
    whole: float = 0.0


@dataclass(frozen=True)
class Kernel:
    """A pair of kernels, and what was seen of it. `test` is there for hidden units only."""

    seen: TensorPair
    test: OrderTest | None = None
    energies: Energies = Energies()


def kernel_pair(first: Subject, second: Subject, pair: Pair) -> Kernel:
    """Two kernels that are partners."""
    assert pair.layers is not None
    one, other = pair.layers
    seen = TensorPair(pair.first, pair.second, one.shape, "differs")
    if are_equal(first, second, pair):
        return Kernel(replace(seen, relation="equal", correlation=1.0))
    a, b = block(first, one), block(second, other)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Kernel(replace(seen, note="values are not finite"))
    wide, beside = a.astype(np.float64), b.astype(np.float64)
    made = copied(a, b)
    similarity = correlations(wide, beside)
    seen = replace(seen, relation=made or "differs", correlation=float(np.diag(similarity).mean()))
    kernel = Kernel(seen, None, energies(wide, beside))
    places = ((first, first.layers.index(one)), (second, second.layers.index(other)))
    because = next((why for why in (ordered_because(*place) for place in places) if why), "")
    if not because and (has_diagonal(a, one) or has_diagonal(b, other)):
        because = "it has a diagonal of its own"
    if because:
        return replace(kernel, seen=replace(seen, note=because))
    return replace(kernel, test=order_test(similarity, any(in_blocks(*at) for at in places)))


def judged(kernel: Kernel, tests: int) -> TensorPair:
    """What was seen of a kernel, in view of the number of kernels that were tested."""
    if kernel.test is None:
        return kernel.seen
    seen = replace(kernel.seen, p_value=kernel.test.p_value)
    if seen.relation != "differs":
        return seen
    akin = kernel.test.p_value * tests <= 1e-3
    return replace(seen, relation="related" if akin else "no sign of kinship")


def drift(all_energies: Sequence[Energies]) -> float | None:
    """The squared difference, as a share of what the net that learned less has learned.

    None if nothing is seen to be learned.
    """
    both = [one for one in all_energies if min(one.learned) > 0]
    learned = min(sum(one.learned[side] for one in both) for side in (0, 1))
    return sum(one.difference for one in both) / learned if learned > 0 else None


def learned_share(all_energies: Sequence[Energies]) -> float:
    """How much of the net that learned less was learned, among kernels that learned at all."""
    both = [one for one in all_energies if min(one.learned) > 0]
    whole = sum(one.whole for one in both)
    return min(sum(one.learned[side] for one in both) for side in (0, 1)) / whole if whole else 0.0


def energies(a: Floats, b: Floats) -> Energies:
    """What two kernels, [units, inputs], have learned, and how far they are apart."""
    one, other = float((a**2).sum()), float((b**2).sum())
    if min(one, other) == 0:
        return Energies()
    both = (one * other) ** 0.5
    learned = learned_energy(a) / one * both, learned_energy(b) / other * both
    return Energies(learned, 2 * both * (1 - cosine(a, b)), both)


def copied(a: np.ndarray, b: np.ndarray) -> str:
    """How one kernel is a copy of the other, as in `COPIES`; "" if it is none."""
    if np.array_equal(a, b):
        return "equal"
    near = cosine(a.astype(np.float64), b.astype(np.float64)) > _COPY
    return (relation(a, b) if near else "") or ("rescaled" if rescaled(a, b) else "")
