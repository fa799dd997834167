"""The initial weights by seed: which popular seed gives the numbers that a net began with."""

from __future__ import annotations

from collections.abc import Iterator

from weightspace.evidence.context import Context
from weightspace.evidence.displacement import LAW, displacements, exact_column_sums
from weightspace.evidence.draw_orders import orders
from weightspace.evidence.draws import seed_word
from weightspace.evidence.families import FAMILIES
from weightspace.evidence.initial_vector import InitialVector, initial_vector
from weightspace.evidence.matching import LEAST, SURE, Match
from weightspace.evidence.other_draws import LIKELY
from weightspace.evidence.record import Evidence, Hypothesis, Value, unable
from weightspace.evidence.seed_search import search
from weightspace.evidence.subject import Subject

_FEWEST = 100  # values that a net must have for a seed to be seen
_NAMED = 1_000  # seeds that are named among the less likely answers, at most
_SPLITS = (60_000, 50_000, 70_000, 73_257)  # images that are split before a net is built


def seed_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on the seed, and on what the initial weights make exact.

    Parameters
    ----------
    subject : Subject
        The net.
    context : Context
        Its `seeds` are tried, and the claimed seed.

    Yields
    ------
    Evidence
        The seed, if it was found; the initialization; the optimizer's family and the weight decay
        by column sums; how far each kernel moved.
    """
    tried = orders(subject)
    if not tried or tried[0].draws[-1].stop < _FEWEST:
        yield unable(LAW, "seed", f"no {_FEWEST} weights are stored as torch stores them")
        return
    seeds, likely = _tried(context)
    match = search(subject, seeds, likely)
    if match is None or match.p_value >= SURE:
        yield _not_found(match, len(seeds))
        return
    yield _found(match, seeds if len(seeds) <= _NAMED else likely)
    yield from _initialization(match)
    if match.drawn == "default":
        initial = initial_vector(subject, match)
        yield from exact_column_sums(subject, initial)
        yield from displacements(subject, initial)


def known_initial_vector(subject: Subject, context: Context) -> InitialVector | None:
    """The initial values of a net, if its seed is found; for other laws.

    Parameters
    ----------
    subject : Subject
        The net.
    context : Context
        Its `seeds` are tried, and the claimed seed.

    Returns
    -------
    InitialVector or None
        None if no seed is found, or if kernels were drawn anew, whose scale is not known.
    """
    match = search(subject, *_tried(context))
    if match is None or match.p_value >= SURE or match.drawn != "default":
        return None
    return initial_vector(subject, match)


def _tried(context: Context) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The seeds that are tried, and those whose whole streams are: one for each stream."""
    claimed = context.claims.get("seed")
    extra = (claimed,) if isinstance(claimed, int) and not isinstance(claimed, bool) else ()
    return _streams((*context.seeds, *extra)), _streams((*LIKELY, *extra))


def _streams(seeds: tuple[int, ...]) -> tuple[int, ...]:
    return tuple({seed_word(seed): seed for seed in reversed(seeds)}.values())[::-1]


def _not_found(match: Match | None, count: int) -> Evidence:
    return Evidence(
        LAW, "seed",
        f"none of {count:,} seeds gives numbers that the weights still resemble: the seed is "
        "another, or the weights began in another way, or training has moved them too far",
        statistic=match.z if match else None,
    )  # fmt: skip


def _found(match: Match, seeds: tuple[int, ...]) -> Evidence:
    others: tuple[Value, ...] = tuple(seed for seed in seeds if seed != match.seed)
    hypotheses = [Hypothesis((match.seed,), 1.0, f"seed {match.seed}")]
    if others:
        hypotheses.append(Hypothesis(others, match.p_value, "another seed of those that are tried"))
    says = (
        f"the initial weights are those that torch draws after manual_seed({match.seed}): "
        f"z = {match.z:.1f} in {match.tries:,} tries{_before(match)}"
    )
    return Evidence(LAW, "seed", says, statistic=match.z, hypotheses=tuple(hypotheses))


def _before(match: Match) -> str:
    if match.drawn != "default":
        return f"; kernels were drawn anew from a {match.drawn} distribution"
    if match.shift > 0:
        split = next((n for n in _SPLITS if match.shift == n - 1), None)
        reason = f", as a random split of {split:,} images takes" if split else ""
        return f"; {match.shift:,} numbers were drawn before{reason}"
    return "" if match.shift == 0 else "; layers were drawn in another order than they are stored"


def _initialization(match: Match) -> Iterator[Evidence]:
    """The family of the initialization, which is that of the draws."""
    families = {
        "default": ("torch_default",),
        "uniform": tuple(name for name in FAMILIES if name.endswith("_uniform")),
        "normal": tuple(name for name in FAMILIES if name.endswith("normal")),
    }
    if match.drawn == "default" and match.shift != 0:
        return  # one tensor alone was compared, which may have been drawn anew from a uniform one
    fits: tuple[Value, ...] = families[match.drawn]
    others: tuple[Value, ...] = tuple(name for name in FAMILIES if name not in fits)
    kinds = {"default": "torch's default", "uniform": "uniform", "normal": "normal"}
    yield Evidence(
        LAW, "initialization",
        f"the initial weights that seed {match.seed} gives are {kinds[match.drawn]} ones",
        statistic=match.z,
        hypotheses=(
            Hypothesis(fits, 1.0, kinds[match.drawn]),
            Hypothesis(others, max(LEAST, match.p_value), "another initialization"),
        ),
    )  # fmt: skip
