"""The pictures of an audit's evidence, each with a sentence on how to read it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from markupsafe import Markup
from scipy.stats import chi2

from weightspace.audit import Audit
from weightspace.audit.numbers import among
from weightspace.audit.strength import number
from weightspace.audit.verdicts import LEVEL
from weightspace.evidence import Evidence, Hypothesis
from weightspace.evidence.record import Value
from weightspace.evidence.traces import FitTrace, LayerTrace, PixelTrace, SumTrace, Traces
from weightspace.printable import printable
from weightspace.report.auditing import svg
from weightspace.report.auditing.svg import WIDTH, Bar
from weightspace.report.claims.words import count, label, listing

T = TypeVar("T")
DISPLACEMENT = "relative displacement"
_LEAST = 1e-12  # p-values below are drawn as this
_MOST_ROWS = 12
_MOST_BARS = 40
_TELLING = 0.01
_BESIDE, _ABOVE = 27, 60  # letters of a name beside its bar; of a line above it
_CLEAR = 8.0  # standard deviations that are drawn in the full colour
_NORMAL = 2.576  # of a normal distribution, that hold 99 %


@dataclass(frozen=True)
class Picture:
    """A drawing, its title and how to read it."""

    title: str
    reading: str
    drawings: tuple[Markup, ...]
    names: tuple[str, ...] = ()
    """A caption for each drawing, where there are several."""


def pictures_of(law: str, evidence: Sequence[Evidence], audit: Audit) -> Iterator[Picture]:
    """The pictures for the evidence of one law.

    Parameters
    ----------
    law : str
        The name of the law.
    evidence : sequence of Evidence
        What it says of the net.
    audit : Audit
        The audit, with traces or without.

    Yields
    ------
    Picture
    """
    kept = audit.traces or Traces()
    claims = {one.claim.name: one.claim.value for one in audit.verdicts}
    if law == "column sums" and kept.sums is not None:
        yield of_sums(kept.sums)
    if law == "inputs that never vary" and kept.pixels is not None:
        yield of_pixels(kept.pixels)
    if law == "counters" and kept.fits is not None and kept.fits.fits:
        yield of_fits(kept.fits, claims)
    if law == "initial distributions" and kept.layers:
        yield of_layers(kept.layers)
    moved = [one for one in evidence if _is_displacement(one)]
    if moved:
        yield of_displacements(moved)
    told = [one for one in evidence if _is_telling(one)]
    if told:
        yield of_hypotheses(told, claims)


def _is_telling(one: Evidence) -> bool:
    """Whether p-values speak against an answer, and are not merely those of a fact."""
    p_values = [h.p_value for h in one.hypotheses]
    return any(0 < p < 1 for p in p_values) and min(p_values) < _TELLING


def of_hypotheses(evidence: Sequence[Evidence], claims: Mapping[str, Value]) -> Picture:
    """How much evidence speaks against each answer, for each thing that is asked."""
    rows = []
    for one in evidence:
        claimed = claims.get(one.claim)
        rows.append(Bar(f"{printable(label(one.claim), 40)}:", None, bold=True))
        shown = sorted(one.hypotheses, key=lambda h: h.p_value)[:_MOST_ROWS]
        for h in shown:
            share = math.log10(max(h.p_value, _LEAST)) / math.log10(_LEAST)
            own = claimed is not None and among(claimed, h.values)
            name = _name(h, 120) + (" (claimed)" if own else "")
            colour = "orange" if h.p_value < LEVEL else "blue"
            if len(name) > _BESIDE:
                rows += [Bar(line, None) for line in textwrap.wrap(name, _ABOVE)]
                name = ""
            rows.append(Bar(name, share, _p(h.p_value), colour, own))
        if more := len(one.hypotheses) - len(shown):
            rows.append(Bar(f"and {more:,} that fit better", None))
    level = math.log10(LEVEL) / math.log10(_LEAST)
    return Picture(
        "What speaks against each answer",
        "The longer a bar, the less such a net is to be expected if the answer is true. Orange: "
        f"ruled out, p below {LEVEL:g}.",
        (svg.bars("p-values", rows[:_MOST_BARS], 184, 84, f"{LEVEL:g}", level),),
    )


def _name(one: Hypothesis, most: int) -> str:
    name = one.name or (str(one.values[0]) if one.values else "any other")
    return printable(label(name), most)


def _p(p_value: float) -> str:
    return "impossible" if p_value == 0 else f"p = {number(p_value)}"


def of_sums(trace: SumTrace) -> Picture:
    """The column sums, and how widely each initialization spreads them."""
    left, right, high = 120, 12, 96
    near = {name: spread for name, spread in trace.expected.items() if name != "normal"}
    spread = float(np.sqrt(np.mean(trace.sums**2)))
    reach = _NORMAL * max(*near.values(), min(spread, 4 * max(near.values()))) * 1.12
    middle, scale = left + (WIDTH - left - right) / 2, (WIDTH - left - right) / 2 / reach

    counts, edges = np.histogram(np.clip(trace.sums, -reach, reach), 41, (-reach, reach))
    tallest = max(1, int(counts.max()))
    parts = [
        svg.box(middle + a * scale + 0.5, high - (high - 8) * n / tallest, (b - a) * scale - 1,
                (high - 8) * n / tallest, "blue")
        for n, a, b in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if n
    ]  # fmt: skip
    parts.append(svg.text(left - 8, high - 34, "the sums", anchor="end", bold=True))
    parts.append(svg.text(left - 8, high - 18, "of this net", anchor="end", bold=True))
    for place, (name, size) in enumerate(sorted(near.items(), key=lambda item: item[1])):
        y = high + 14 + 20 * place
        fits = chi2.sf(len(trace.sums) * (spread / size) ** 2, len(trace.sums)) >= LEVEL
        parts += [
            svg.text(left - 8, y + 10, label(name), anchor="end"),
            svg.box(middle - _NORMAL * size * scale, y, 2 * _NORMAL * size * scale, 12,
                    "blue" if fits else "muted", 0.4 if fits else 0.25),
        ]  # fmt: skip
    bottom = high + 14 + 20 * len(near)
    parts += [svg.line(middle, 4, middle, bottom, "muted", dashed=True)]
    for value in (-reach / 1.12, 0.0, reach / 1.12):
        x = middle + value * scale
        parts.append(svg.text(x, bottom + 14, f"{value:.2g}", anchor="middle", kind="muted"))
    return Picture(
        f"The sums over {count(trace.classes, 'output')}, for each of "
        f"{count(trace.inputs, 'input')} of {printable(trace.layer, 60)}",
        "Below: within these limits lie 99 % of the sums before training, by initialization. A "
        "linear optimizer keeps the sums under softmax cross entropy, and weight decay shrinks "
        "them. Grey: too narrow for the sums of this net, if its optimizer was linear.",
        (svg.drawing(bottom + 22, "column sums and initializations", parts),),
    )


def of_pixels(trace: PixelTrace) -> Picture:
    """The pixels whose weights moved, beside those that never vary in known data sets."""
    drawings = [svg.image("pixels whose weights moved", trace.moved / _CLEAR, "blue")]
    names = ["moved in this net"]
    some = {name: still for name, still in trace.constant.items() if still.any()}
    for name, still in list(some.items())[:3]:
        drawings.append(svg.image(f"pixels that vary in {name}", ~still, "ink"))
        names.append(f"varies in {printable(name, 40)}; {int(still.sum()):,} pixels never do")
    whole = [printable(name, 40) for name in trace.constant if name not in some]
    rest = f" In {listing(whole)} every pixel varies." if whole else ""
    return Picture(
        "The weights of each pixel",
        "The fuller the blue, the more clearly the weights of a pixel moved together with those of "
        "its neighbours. Pixels that never vary in the training images do not move: they are "
        f"empty, as those of the data set are.{rest}",
        tuple(drawings),
        tuple(names),
    )


def of_fits(trace: FitTrace, claims: Mapping[str, Value]) -> Picture:
    """The trainings that give the counted number of batches."""
    top = trace.fits[0].prior
    rows = []
    for fit in trace.fits:
        said = {"epochs": fit.epochs, "batch_size": fit.batch_size, "train_images": fit.images}
        wrong = [name for name, value in said.items() if claims.get(name, value) != value]
        told = "last left out" if fit.drop_last else ""
        name = f"{fit.epochs:,} x {fit.images:,} in {fit.batch_size:,}s"
        rows.append(Bar(name, fit.prior / top, told, "muted" if wrong else "blue"))
    ways = "the only way" if trace.count == 1 else f"the most usual of {trace.count:,} ways"
    claimed = [name for name in ("epochs", "batch_size", "train_images") if name in claims]
    names = listing([label(name) for name in claimed])
    agree = any(row.colour == "blue" for row in rows)
    rest = (
        f" Blue: agrees with the claimed {names}."
        if agree
        else (f" None of them agrees with the claimed {names}.")
    )
    return Picture(
        f"What makes {trace.steps:,} batches",
        f"Epochs x images, in batches of a size: {ways} in which whole epochs give this number. "
        f"A longer bar is a more usual training; that is no probability.{rest if claimed else ''}",
        (svg.bars("trainings that fit the counter", rows, 150, 78),),
    )


_STATES = {True: ("trained", "blue"), False: ("looks untouched", "orange"),
           None: ("cannot be told", "muted")}  # fmt: skip


def of_layers(layers: Sequence[LayerTrace]) -> Picture:
    """The distribution of each kernel's values, and whether it was trained."""
    shown = _some(layers)
    pitch, left, wide = 52, 124, 108
    parts = []
    for place, one in enumerate(shown):
        y = 4 + pitch * place
        state, colour = _STATES[one.trained]
        bottom, tall = y + 40, 34 / max(0.45, *one.shares)
        step = wide / len(one.shares)
        points = [(left + step * (i + 0.5), bottom - share * tall)
                  for i, share in enumerate(one.shares)]  # fmt: skip
        area = [(left, bottom), *points, (left + wide, bottom)]
        sides = "x".join(map(str, one.shape))
        parts += [
            svg.text(left - 10, y + 22, svg.short(printable(one.name, 200), left - 10),
                     anchor="end", bold=True),
            svg.text(left - 10, y + 37, sides, anchor="end", kind="muted"),
            svg.curve(area, colour, filled=True),
            svg.curve(points, colour),
            svg.line(left, bottom, left + wide, bottom, "rule"),
            svg.text(left + wide + 12, y + 22, state, bold=one.trained is False),
            svg.text(left + wide + 12, y + 37, _reason(one), kind="muted"),
        ]  # fmt: skip
    more = len(layers) - len(shown)
    rest = f" {more:,} more are not drawn." if more else ""
    trained, still = (sum(one.trained is state for one in layers) for state in (True, False))
    were, look = "was" if trained == 1 else "were", "looks" if still == 1 else "look"
    title = f"{trained} of {count(len(layers), 'tested kernel')} {were} trained"
    if still and trained:
        title += f"; {still} {look} untouched"
    elif still:
        title = f"{still} of {count(len(layers), 'tested kernel')} {look} untouched"
    return Picture(
        title,
        "The distribution of each kernel's values. It is that of the initialization until a "
        f"kernel is trained: uniform (a box) or normal (a bell).{rest}",
        (svg.drawing(4 + pitch * len(shown), "distributions of kernels", parts),),
    )


def _reason(one: LayerTrace) -> str:
    if one.trained is False:
        return printable(label(one.best), 22)
    return f"p = {number(one.p_value)} if untouched"


def _is_displacement(one: Evidence) -> bool:
    return one.estimate is not None and one.estimate.name == DISPLACEMENT


def of_displacements(evidence: Sequence[Evidence]) -> Picture:
    """How far each kernel moved from its initial values, which a seed gave."""
    moved = [(printable(one.where, 200), one.estimate.value) for one in evidence if one.estimate]
    largest = max(*(size for _, size in moved), 1e-9)
    shown = _some(moved)
    rows = [
        Bar(name, size / largest, f"{size:.1%}", "blue" if size else "orange")
        for name, size in shown
    ]
    still = [svg.short(name, 300) for name, size in moved if not size]
    rest = f" {listing(still)} never moved." if still else ""
    more = f" {len(moved) - len(shown):,} more are not drawn." if len(moved) > len(shown) else ""
    return Picture(
        "How far each kernel moved",
        f"The distance from the initial values, by the size of these.{rest}{more}",
        (svg.bars("displacement by kernel", rows, 150, 60),),
    )


def _some(rows: Sequence[T]) -> Sequence[T]:
    """All rows, or of many some at equal distances, the first and the last among them."""
    if len(rows) <= _MOST_ROWS:
        return rows
    return [rows[round(i * (len(rows) - 1) / (_MOST_ROWS - 1))] for i in range(_MOST_ROWS)]
