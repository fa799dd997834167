"""Results as Markdown tables, for a repository or for the notes of a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weightspace.report.claims.headline import headline
from weightspace.report.claims.numbers import best_readers
from weightspace.report.claims.words import count, interval, label, percent
from weightspace.report.drawing.rows import reach

if TYPE_CHECKING:
    from weightspace.dissection import Slices
    from weightspace.meta import Evaluation, Regression

_COLUMNS = (
    "property",
    "accuracy",
    "95 % interval",
    "chance",
    "shallow",
    "permuted labels",
    "verdict",
)

_NUMBERS = (
    *("number", "read from", "R²", "95 % interval", "Kendall's tau", "95 % interval"),
    "verdict",
)


def markdown(evaluation: Evaluation, unit: str = "slice") -> str:
    """The table that `table` shows in a terminal, as Markdown; `unit` is "slice" or "net"."""
    head = headline(evaluation.frame(), unit)
    caption = (
        f"Predicted from {head.source} by `{head.classifier}`, {count(head.lines[0].n_nets, 'net')}"
    )
    rows = [_COLUMNS, ("---",) + ("---:",) * 5 + ("---",)]
    rows += [
        (
            _cell(line.name),
            f"**{percent(line.accuracy)}**" if line.shown else percent(line.accuracy),
            interval(line.low, line.high),
            percent(line.chance),
            percent(line.shallow.value if line.shallow else None),
            reach(line.control),
            line.verdict,
        )
        for line in head.lines
    ]
    return f"{caption}:\n\n{_lines(rows)}"


def numbers_markdown(regression: Regression) -> str:
    """The table that `number_table` shows in a terminal, as Markdown."""
    rows: list[tuple[str, ...]] = [_NUMBERS, ("---",) * 2 + ("---:",) * 4 + ("---",)]
    for row in best_readers(regression):
        spans = [f"{row[f'{m}_low']:.2f} to {row[f'{m}_high']:.2f}" for m in ("r2", "tau")]
        r2 = f"{row['r2']:.2f}"
        rows.append(
            (
                _cell(row["target"]),
                row["source"],
                r2 if row["verdict"] == "not shown" else f"**{r2}**",
                spans[0],
                f"{row['tau']:.2f}",
                spans[1],
                row["verdict"],
            )
        )
    nets = count(int(regression.frame()["n_nets"].max()), "net")  # type: ignore[arg-type]
    return f"Numbers, predicted for {nets}, none of which is in the training set:\n\n{_lines(rows)}"


def slices_markdown(slices: Slices) -> str:
    """Accuracy by length of slice, for the smallest and the largest number of slices of a net."""
    frame = slices.frame()
    lengths = frame["slice_length"].unique().sort().to_list()
    fewest, most = (int(n) for n in (frame["slices"].min(), frame["slices"].max()))  # type: ignore[arg-type]
    rows: list[tuple[str, ...]] = [("property", "chance", *(f"{n:,}" for n in lengths))]
    rows.append(("---",) + ("---:",) * (1 + len(lengths)))
    known = {(r["property"], r["slice_length"], r["slices"]): r for r in frame.to_dicts()}
    for name in frame["property"].unique(maintain_order=True):
        cells = []
        for length in lengths:
            pair = [known.get((name, length, n)) for n in sorted({fewest, most})]
            cells.append(" / ".join(percent(row["accuracy"] if row else None) for row in pair))
        chance = frame.filter(property=name)["chance"][0]
        rows.append((_cell(name), percent(chance), *cells))
    taken = count(fewest, "slice") + (f" / {most:,} slices together" if most > fewest else "")
    nets = frame["n_nets"].unique().sort().to_list()
    if len(nets) > 1:
        taken += f"; the longest exist in {nets[0]:,} of {nets[-1]:,} nets and are tested on those"
    return f"Accuracy by length of slice, {taken}:\n\n{_lines(rows)}"


def _cell(name: str) -> str:
    return label(name).replace("|", "\\|")


def _lines(rows: Sequence[tuple[str, ...]]) -> str:
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)
