"""The leaderboard: results of one population side by side, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from weightspace.bench.populations import POPULATIONS
from weightspace.bench.results import Result
from weightspace.bench.tasks import ACCURACY, PROGRESS
from weightspace.errors import UsageError
from weightspace.meta.statistics.intervals import Interval
from weightspace.printable import printable

_HEADS = (
    "encoder",
    "twelve properties",
    "less the first",
    "outside nets",
    "held-out levels",
    "test accuracy, R²",
    "progress, R²",
    "control",
    "seconds",
)


def leaderboard(results: Sequence[Result]) -> str:
    """Compose the leaderboards of all populations that the results are of.

    Parameters
    ----------
    results : sequence of Result
        Results that `read_result` has checked.

    Returns
    -------
    str
        Markdown: for each population a table of all encoders, best first, and a table of the
        accuracy of each property.

    Raises
    ------
    UsageError
        If there are no results, or some were judged by validation nets and some by test nets.
    """
    if not results:
        raise UsageError("results", "there are none", "name files of `weightspace bench run`")
    judges = {one.judged for one in results}
    if len(judges) > 1:
        raise UsageError("results", "some are of test nets, some of validation nets", "name one")
    parts = []
    for name in POPULATIONS:
        own = [one for one in results if one.population == name]
        if own:
            own.sort(key=lambda one: -one.accuracy.value)
            parts.append(f"## {name}\n\n{_facts(own)}\n\n{_overall(own)}\n\n{_by_property(own)}\n")
    return "\n".join(parts)


def _facts(results: Sequence[Result]) -> str:
    first = results[0]
    population = POPULATIONS[first.population]
    judged = len(first.of("properties")[0].nets)
    taught = int(first.lessons["properties"]["nets"])
    chance = [one.chance for one in first.of("properties") if one.levels]
    lines = [
        f"{population.space.description} {population.nets:,} nets; {taught} taught, {judged} "
        f"{first.judged} nets judged; chance is {100 * sum(chance) / len(chance):.1f} %.",
    ]
    if first.of("outside"):
        count = len(first.of("outside")[0].nets)
        lines.append(f"Outside nets: {count} that a plain PyTorch loop trained.")
    if len({one.weights for one in results}) > 1:
        lines.append(
            "Not all results are of the same weights: processors round differently in training."
        )
    return " ".join(lines)


def _overall(results: Sequence[Result]) -> str:
    rows = []
    for one in results:
        cells = [_name(one), _percent(one.accuracy), _less(one, results[0])]
        cells += [_percent(one.mean("outside")), _percent(one.mean("without "))]
        cells += [_number(one, "properties", ACCURACY), _number(one, PROGRESS, PROGRESS)]
        cells += [_percent(one.mean("control")), f"{one.seconds:,.0f}"]
        rows.append(cells)
    return _table(_HEADS, rows)


def _by_property(results: Sequence[Result]) -> str:
    targets = [one for one in results[0].of("properties") if one.levels]
    rows = []
    for target in targets:
        found = [
            next((a.score for a in one.of("properties") if a.target == target.target), None)
            for one in results
        ]
        rows.append([f"`{target.target}`", f"{100 * target.chance:.0f}", *map(_percent, found)])
    return _table(["property", "chance", *map(_name, results)], rows)


def _name(result: Result) -> str:
    return printable(result.label, 60).replace("|", "/")


def _percent(found: Interval | None) -> str:
    if found is None:
        return "–"
    return f"{100 * found.value:.1f} ({100 * found.low:.1f}–{100 * found.high:.1f})"


def _less(result: Result, first: Result) -> str:
    found = None if result is first else result.less(first)
    if found is None:
        return "–"
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _number(result: Result, task: str, target: str) -> str:
    for one in result.of(task):
        if one.target == target:
            return f"{one.score.value:.2f} ({one.score.low:.2f}–{one.score.high:.2f})"
    return "–"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    return "\n".join((*lines, *(f"| {' | '.join(row)} |" for row in rows)))
