"""The tables of docs/results/robustness.md, from what `benchmarks/robustness.py` has judged.

    python benchmarks/robustness_tables.py docs/results/robustness

A cell such as "21 / 0 / 3" counts verdicts: consistent, contradicted, undecidable. Intervals are
95 % ones (Clopper and Pearson) over nets.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl
from scipy import stats

WORDS = ("consistent", "contradicted", "undecidable")
LENGTH = ("steps", "epochs")
GROUPS = {
    "seed": ("seed",), "initialization": ("initialization",), "weight decay": ("weight_decay",),
    "data set": ("dataset",), "inputs": ("inputs",), "steps, epochs": LENGTH,
    "precision": ("precision",),
    "others": ("learning_rate", "momentum", "schedule", "batch_size", "train_images", "loss",
               "pretrained_from"),
}  # fmt: skip
FAMILIES = {"linear": ("sgd", "momentum"), "adaptive": ("adam", "adamw")}
TUNED, FORGED = "fine-tuned", "forged"
NUMBERS = "---:"


def main() -> None:
    write(Path(sys.argv[1]))


def write(out: Path) -> None:
    """Write each table beside the verdicts, as a page includes it."""
    verdicts, nets = (pl.read_parquet(out / f"{name}.parquet") for name in ("verdicts", "nets"))
    true = verdicts.filter((pl.col("run") == "true") & (pl.col("kind") != FORGED))
    tables = {
        "optimizer": optimizers(verdicts.filter(pl.col("kind") != FORGED), nets),
        "claims": claims(true),
        "contradicted": contradicted(verdicts),
        "cards": cards(verdicts.filter(pl.col("run") == "card")),
        "forgeries": forgeries(verdicts.filter(pl.col("kind") == FORGED), nets),
        "compared": compared(nets),
    }
    for name, lines in tables.items():
        text = "\n".join(lines) + "\n"
        (out / f"{name}.md").write_text(text, encoding="utf-8")
        print(f"{name}\n\n{text}")


def markdown(
    head: Sequence[str], rows: Iterable[Sequence[object]], side: str = "---"
) -> Iterator[str]:
    """The lines of a table; `side` is "---:" if all columns but the first hold numbers."""
    yield f"| {' | '.join(head)} |"
    yield f"|---|{f'{side}|' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def counts(rows: pl.DataFrame) -> str:
    """How many verdicts are consistent, contradicted and undecidable; "" for none."""
    if rows.is_empty():
        return ""
    return " / ".join(str(int((rows["verdict"] == word).sum())) for word in WORDS)


def share(part: int, whole: int) -> str:
    """A count with the interval of its share."""
    interval = stats.binomtest(part, whole).proportion_ci(0.95, "exact")
    low, high = (f"{100 * one:.0f}" if one > 0.01 else f"{100 * one:.2f}" for one in interval)
    return f"{part} of {whole:,} ({low} to {high} %)"


def parts(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows of each alteration, in the order in which they were made."""
    for name in rows["alteration"].unique(maintain_order=True):
        yield name, rows.filter(pl.col("alteration") == name)


def lost(nets: pl.DataFrame, name: str) -> str:
    """The median loss of accuracy, in percentage points."""
    both = nets.filter(pl.col("alteration") == name).join(
        nets.filter(pl.col("kind") == "none").select("net", before="accuracy"), on="net"
    )
    return f"{100 * (both['before'] - both['accuracy']).median():.1f}"


def optimizers(rows: pl.DataFrame, nets: pl.DataFrame) -> Iterator[str]:
    """The true claim of the optimizer, by family and by whether the seed is tried."""
    told = rows.filter((pl.col("claim") == "optimizer") & (pl.col("run") != "card"))
    tried = pl.col("net").is_in(rows.filter(pl.col("claim") == "seed")["net"].unique().implode())

    def row(name: str, some: pl.DataFrame) -> Iterator[object]:
        true, false = (some.filter(pl.col("run") == run) for run in ("true", "false"))
        text = "*{}*" if not true["holds"].any() else "{}"
        yield name
        yield lost(nets, name)
        for known in (tried, ~tried):
            for family in FAMILIES.values():
                yield text.format(counts(true.filter(known & pl.col("trained_by").is_in(family))))
        yield counts(false)

    head = ["alteration", "accuracy lost", "seed tried: SGD", "Adam", "seed not tried: SGD", "Adam",
            "other optimizer claimed"]  # fmt: skip
    return markdown(head, (list(row(name, some)) for name, some in parts(told)), NUMBERS)


def claims(rows: pl.DataFrame) -> Iterator[str]:
    """Verdicts on the other claims; those that the alteration makes untrue are in italics."""

    def cell(some: pl.DataFrame, names: Sequence[str]) -> str:
        about = some.filter(pl.col("claim").is_in(names))
        text = counts(about)
        return f"*{text}*" if text and not about["holds"].any() else text

    body = ([name, *(cell(some, names) for names in GROUPS.values())] for name, some in parts(rows))
    return markdown(["alteration", *GROUPS], body, NUMBERS)


def contradicted(rows: pl.DataFrame) -> Iterator[str]:
    """Every claim that is still true after an alteration and that was contradicted."""
    kept = rows.filter(
        pl.col("holds") & (pl.col("run") != "false") & (pl.col("kind") != FORGED)
    )  # fmt: skip
    wrong = kept.filter(pl.col("verdict") == "contradicted")
    body = []
    by = ("run", "alteration", "claim", "rests_on")
    for (run, name, claim, rests), some in wrong.group_by(by, maintain_order=True):
        asked = kept.filter(
            (pl.col("run") == run) & (pl.col("alteration") == name) & (pl.col("claim") == claim)
        )
        laws = ", ".join(some["law"].unique().sort())
        card = " (honest card)" if run == "card" else ""
        body.append([f"{name}{card}", claim, laws, rests, share(len(some), len(asked))])
    body.append(["all alterations", "all claims that are still true", "", "nothing untrue",
                 share(len(wrong.filter(pl.col("rests_on") == "")), len(kept))])  # fmt: skip
    head = ["alteration", "true claim", "by", "rests on the untrue claim of", "contradicted"]
    return markdown(head, body)


def cards(rows: pl.DataFrame) -> Iterator[str]:
    """Honest cards: of a fine-tuning, which name the net before, and of averages."""
    names = rows["claim"].unique(maintain_order=True)
    kinds = (TUNED, "averaged")

    def row(name: str) -> list[str]:
        about = rows.filter(pl.col("claim") == name)
        return [name, *(counts(about.filter(pl.col("kind") == kind)) for kind in kinds)]

    head = ["claim", "cards of a fine-tuning", "cards of an average"]
    return markdown(head, map(row, names), NUMBERS)


def forgeries(rows: pl.DataFrame, nets: pl.DataFrame) -> Iterator[str]:
    """What a forger wants to be believed, and how many true claims then look false."""

    def row(name: str, some: pl.DataFrame) -> Iterator[object]:
        yield name
        yield lost(nets, name)
        aims = some.filter(pl.col("run") == "false")
        told = []
        for claim in aims["claim"].unique(maintain_order=True):
            about = aims.filter(pl.col("claim") == claim)
            told.append(f"{claim} {counts(about)}")
        yield "<br>".join(told)
        wrong = some.filter((pl.col("run") == "true") & (pl.col("verdict") == "contradicted"))
        seen = wrong["claim"].unique(maintain_order=True)
        number = some["net"].n_unique()
        yield "<br>".join(
            f"{claim}: {len(wrong.filter(pl.col('claim') == claim))} of {number}" for claim in seen
        ) or "none"  # fmt: skip

    head = ["forgery", "accuracy lost", "false claims", "true claims contradicted"]
    return markdown(head, (list(row(name, some)) for name, some in parts(rows)))


def compared(nets: pl.DataFrame) -> Iterator[str]:
    """What `compare` says of the net before and the altered one."""

    def row(name: str, some: pl.DataFrame) -> list[object]:
        said = some.with_columns(
            pl.when(pl.col("permuted")).then(pl.col("compared") + ", in another order")
            .otherwise(pl.col("compared")).alias("said")
        )  # fmt: skip
        found = said["said"].value_counts(sort=True).iter_rows()
        right = int((some["direction"] == "first to second").sum())
        wrong = int((some["direction"] == "second to first").sum())
        return [name, ", ".join(f"{count} {word}" for word, count in found),
                f"{right} / {wrong}" if right + wrong else ""]  # fmt: skip

    head = ["alteration", "verdicts", "direction right / wrong"]
    return markdown(head, (row(name, some) for name, some in parts(nets)))


if __name__ == "__main__":
    main()
