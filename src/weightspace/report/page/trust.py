"""How sure: what a reader must know before believing a dissection, as sentences and as facts."""

from __future__ import annotations

from typing import Any

from weightspace.meta import BASELINE, Evaluation
from weightspace.report.claims.findings import widened
from weightspace.report.claims.headline import Headline
from weightspace.report.claims.words import count, label, listing, percent
from weightspace.report.sections import calibration


def summary(evaluation: Evaluation, head: Headline) -> str:
    """How sure, in one sentence."""
    shown, n = sum(line.shown for line in head.lines), head.lines[0].n_nets
    bar = "chance and what shuffled labels reach" if head.lines[0].control else "chance"
    text = (
        f"{shown} of {count(len(head.lines), 'property')} lie clearly above {bar}, judged on "
        f"{count(n, 'net')} by classifiers that never saw them"
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
        f"Judged on {count(row['n_nets'], 'net')}, every one of them by a classifier that never "
        f"saw it: {row['folds']} folds, split by net, never by slice or moment; "
        f"seeds {_plain(row['seeds'])}.",
        "Accuracy weighs every class alike, so guessing the most frequent answer gains nothing. "
        "Intervals are 95 % bootstrap intervals over nets.",
    ]
    bars = [(line.control.high, line.chance) for line in head.lines if line.control]
    if bars:
        reach, chance = max(bars, key=lambda bar: bar[0] - bar[1])
        told.append(
            "Control: the whole procedure again with labels that were shuffled over the nets. "
            f"95 % of its accuracies stay below {percent(reach)} where chance is "
            f"{percent(chance)}. "
            "A property counts as encoded only where its interval lies wholly above chance and "
            "above the control."
        )
    else:
        told.append(
            "No control with shuffled labels was run, so that nothing is called encoded: "
            "“above chance” says that the interval lies wholly above chance, no more."
        )
    told += _baseline(evaluation, head)
    told += _nets(facts)
    told += _dead(evaluation, head)
    told.append(
        "“Not shown” is no proof of absence: a better classifier or more nets may yet find it. "
        "Titles that pick out one of many places or moments were held to a stricter bar than one "
        "interval."
    )
    return told


def _baseline(evaluation: Evaluation, head: Headline) -> list[str]:
    """For how many properties the classifier beats the baseline; net by net where possible."""
    pairs = [(line.low, line.shallow.high) for line in head.lines if line.shallow]
    if not pairs:
        return []
    better = sum(low > high for low, high in pairs)
    how = "by intervals that do not overlap"
    if evaluation.hits is not None:
        both = evaluation.compare(head.classifier, BASELINE, head.unit).to_dicts()
        better = sum(widened(r["difference"], r["low"], len(both)) > 0 for r in both)
        how = "on the same nets"
    return [
        "Baseline: a linear model on statistics of the weights. The classifier "
        f"({head.classifier}) clearly beats it for {better} of {len(pairs)} properties, {how}."
    ]


def _dead(evaluation: Evaluation, head: Headline) -> list[str]:
    """What dead nets do to the accuracies, at most."""
    if evaluation.hits is None or not evaluation.hits["dead"].any():
        return []
    own = evaluation.among_living().filter(classifier=head.classifier, unit=head.unit).to_dicts()
    if not own:
        return ["Nearly all nets are dead: what the living alone tell cannot be said."]
    top = max(own, key=lambda row: abs(row["accuracy"] - row["all"]))
    change = 100 * (top["accuracy"] - top["all"])
    return [
        "Judged without the dead nets, by classifiers that learned from all, "
        f"{label(top['property'])} changes most: {change:+.1f} points, to "
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
    """The facts as names and text, those with a known meaning first, the rest as they come."""
    known = [(name, _NAMES[name]) for name in _NAMES if name in facts]
    rest = [(n, n.replace("_", " ")) for n in facts if n not in _NAMES and n not in _HIDDEN]
    return [(text, _plain(facts[name])) for name, text in known + rest]


_NAMES = {
    "space": "space",
    "nets": "nets in the zoo",
    "used": "nets judged",
    "diverged": "nets that diverged (left out)",
    "dead": "nets that stayed at chance (or never moved)",
    "layouts": "different lay-outs",
    "snapshots": "snapshots a net",
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
