"""How sure: what a reader must know about the evidence of a dissection, in sentences and facts."""

from __future__ import annotations

from typing import Any

from weightspace.meta import BASELINE, Evaluation
from weightspace.report.claims.findings import corrected
from weightspace.report.claims.headline import Headline
from weightspace.report.claims.words import count, label, listing, percent
from weightspace.report.sections import calibration


def summary(evaluation: Evaluation, head: Headline) -> str:
    """How sure, in one sentence."""
    shown, n = sum(line.shown for line in head.lines), head.lines[0].n_nets
    bar = "chance and permuted labels" if head.lines[0].control else "chance"
    text = (
        f"The 95 % intervals of {shown} of {count(len(head.lines), 'property')} lie above {bar}, "
        f"tested on {count(n, 'net')}, each outside its classifier's training set"
    )
    known = calibration.figures_of(evaluation)
    if known is None:
        return text
    said = calibration.finding(known[0]).partition(",")[0]
    return f"{text}; {said[0].lower()}{said[1:]}"


def sureness(evaluation: Evaluation, head: Headline, facts: dict[str, Any]) -> list[str]:
    """Sentences on nets, split, intervals, control, baseline, dead nets and many comparisons."""
    frame = evaluation.frame()
    rows = frame.filter(classifier=head.classifier, unit=head.unit).to_dicts()
    row = rows[0]
    told = [
        f"Tested on {count(row['n_nets'], 'net')}, each by a classifier whose training set does "
        f"not hold it: {row['folds']} folds, split by net, never by slice or snapshot; "
        f"seeds {_plain(row['seeds'])}.",
        "Every class has the same weight in the accuracy, so always predicting the most frequent "
        "class gains nothing. Intervals are 95 % bootstrap intervals over nets.",
    ]
    bars = [(line.control.high, line.chance) for line in head.lines if line.control]
    if bars:
        reach, chance = max(bars, key=lambda bar: bar[0] - bar[1])
        told.append(
            "Control: the whole procedure is repeated with labels permuted over the nets. The "
            f"95 % range of its accuracies ends at {percent(reach)} where chance is "
            f"{percent(chance)}. "
            "A property is called encoded only where its interval lies wholly above chance and "
            "above the control."
        )
    else:
        told.append(
            "No control with permuted labels was run, so no property is called encoded. "
            "“Above chance” means only that the interval lies wholly above chance."
        )
    told += _baseline(evaluation, head)
    told += _nets(facts)
    told += _dead(evaluation, head)
    told.append(
        "“Not shown” is no proof of absence: a better classifier or more nets may show it. "
        "“Significant” in a title means: significant at 5 % after a correction for the number of "
        "properties, places or snapshots that the title chooses from (Bonferroni, or the "
        "studentised range)."
    )
    return told


def _baseline(evaluation: Evaluation, head: Headline) -> list[str]:
    """For how many properties the classifier is better than the baseline, paired if possible."""
    pairs = [(line.low, line.shallow.high) for line in head.lines if line.shallow]
    if not pairs:
        return []
    better = sum(low > high for low, high in pairs)
    how = "with intervals that do not overlap"
    if evaluation.hits is not None:
        both = evaluation.compare(head.classifier, BASELINE, head.unit).to_dicts()
        better = sum(corrected(r["difference"], r["low"], len(both)) > 0 for r in both)
        how = "on the same nets"
    return [
        "Baseline: a linear model on statistics of the weights. The classifier "
        f"({head.classifier}) is significantly better for {better} of {len(pairs)} properties, "
        f"{how}."
    ]


def _dead(evaluation: Evaluation, head: Headline) -> list[str]:
    """The largest change of an accuracy when dead nets are left out of the test."""
    if evaluation.hits is None or not evaluation.hits["dead"].any():
        return []
    own = evaluation.among_living().filter(classifier=head.classifier, unit=head.unit).to_dicts()
    if not own:
        return ["Nearly all nets are dead: there is no accuracy for the others alone."]
    top = max(own, key=lambda row: abs(row["accuracy"] - row["all"]))
    change = 100 * (top["accuracy"] - top["all"])
    return [
        "When dead nets are left out of the test, but not out of the training set, the accuracy of "
        f"{label(top['property'])} changes most: by {change:+.1f} points, to "
        f"{100 * top['accuracy']:.1f} % ({count(top['n_nets'], 'net')})."
    ]


def _nets(facts: dict[str, Any]) -> list[str]:
    told = []
    diverged, dead = int(facts.get("diverged", 0)), int(facts.get("dead", 0))
    if diverged or dead:
        out = f"{count(diverged, 'net')} diverged and {'was' if diverged == 1 else 'were'} left out"
        kept = "was" if dead == 1 else "were"
        stay = f"{count(dead, 'net')} stayed at chance (or never moved) and {kept} kept"
        both = listing([text for text, n in ((out, diverged), (stay, dead)) if n])
        told.append(f"Of {count(int(facts.get('nets', 0)), 'net')}, {both}.")
    else:
        told.append("No net diverged, and none stayed at chance.")
    return told


def fact_rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts as names and text: those with a known meaning first, then the others."""
    known = [(name, _NAMES[name]) for name in _NAMES if name in facts]
    rest = [(n, n.replace("_", " ")) for n in facts if n not in _NAMES and n not in _HIDDEN]
    return [(text, _plain(facts[name])) for name, text in known + rest]


_NAMES = {
    "space": "space",
    "nets": "nets in the zoo",
    "used": "nets tested",
    "diverged": "nets that diverged (left out)",
    "dead": "nets that stayed at chance (or never moved)",
    "layouts": "different layouts",
    "snapshots": "snapshots per net",
    "vectors": "weight vectors",
    "values": "weights in all",
    "datasets": "data sets",
    "properties": "properties",
    "seeds": "seeds",
    "seconds": "time, in seconds",
    "versions": "versions",
}
_HIDDEN = frozenset(("boundaries", "command"))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(part) for part in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return "–" if value is None else str(value)
