"""The tables of docs/results/laws.md, from what `benchmarks/laws.py` has judged.

    python benchmarks/laws_tables.py docs/results/laws

The folder holds the judged parts, `*.parquet`. The tables are written beside them, and into the
page between comments that name them. Intervals are 95 % ones (Clopper and Pearson) over nets.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from scipy import stats

LENGTHS = ((300, "below 300"), (3000, "300 to 2,999"), (math.inf, "3,000 or more"))
CONSISTENT, CONTRADICTED = ((pl.col("verdict") == one) for one in ("consistent", "contradicted"))
LISTED = 0.8
"""The test accuracy of a net that has 20 % error left to learn, as the goal for seeds has it."""


def main() -> None:
    out = Path(sys.argv[1])
    parts = [pl.read_parquet(path) for path in sorted(out.glob("*.parquet"))]
    rows = pl.concat([_plain(part) for part in parts], how="diagonal_relaxed")
    verdicts = rows.filter(pl.col("law") == "")
    for name, lines in {
        "summary": summary(verdicts),
        "claims": claims(verdicts), "optimizer": optimizers(verdicts),
        "laws": laws(rows.filter((pl.col("law") != "") & (pl.col("asked") == "all"))),
        "products": products(verdicts), "seeds": seeds(verdicts),
    }.items():  # fmt: skip
        text = "\n".join(lines) + "\n"
        (out / f"{name}.md").write_text(text, encoding="utf-8")
        page = out.with_suffix(".md")
        before, start, rest = page.read_text("utf-8").partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        if end:
            page.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")
        print(f"{name}\n\n{text}")


def _plain(part: pl.DataFrame) -> pl.DataFrame:
    """A part with text for categories, which differ from file to file, and with the length."""
    length = pl.lit(LENGTHS[-1][1])
    for most, name in reversed(LENGTHS[:-1]):
        length = pl.when(pl.col("steps") < most).then(pl.lit(name)).otherwise(length)
    return part.with_columns(pl.col(pl.Categorical).cast(pl.String), length.alias("length"))


def summary(verdicts: pl.DataFrame) -> Iterator[str]:
    """What is asked of the laws, over all nets."""
    yield from head("", "weightspace", "plain PyTorch")
    each = [verdicts.filter(pl.col("source") == one) for one in ("weightspace", "plain PyTorch")]
    for name, of in (
        ("nets", lambda some: f"{some['net'].n_unique():,}"),
        ("true claims", lambda some: f"{some.filter(pl.col('asked') == 'all').height:,}"),
        ("nets with a true claim contradicted", _contradicted),
        ("nets with 300 steps or more", lambda some: f"{_long(some, 'all').height:,}"),
        ("family decided, with all claims", lambda some: _decided(_long(some, "all"))),
        ("family decided, with all claims, not torch's default",
         lambda some: _decided(_others(_long(some, "all")))),
        ("family decided, on a usual card", lambda some: _decided(_long(some, "usual"))),
        ("family decided, on a usual card, not torch's default",
         lambda some: _decided(_others(_long(some, "usual")))),
        ("right, of those decided", _right),
        ("nets with decay above 0.3", lambda some: f"{_decayed(some)[0]}"),
        ("measured", lambda some: f"{_decayed(some)[1]}"),
        ("within 15 %", lambda some: f"{_decayed(some)[2]}"),
        ("inside the 99 % interval", lambda some: f"{_decayed(some)[3]}"),
    ):  # fmt: skip
        yield row(name, *(of(some) for some in each))


def _contradicted(some: pl.DataFrame) -> str:
    true = some.filter(pl.col("asked") != "false")
    wrong, nets = true.filter(CONTRADICTED)["net"].n_unique(), true["net"].n_unique()
    return f"{wrong} (95 % interval {interval(wrong, nets)})"


def _long(some: pl.DataFrame, asked: str) -> pl.DataFrame:
    """The verdicts on the true optimizer of nets with 300 steps or more."""
    return some.filter(
        (pl.col("claim") == "optimizer") & (pl.col("asked") == asked) & (pl.col("steps") >= 300)
    )


def _others(some: pl.DataFrame) -> pl.DataFrame:
    return some.filter(pl.col("initialization") != "torch_default")


def _decided(some: pl.DataFrame) -> str:
    return percent(some.select(pl.col("verdict") != "undecidable").to_series())


def _right(some: pl.DataFrame) -> str:
    decided = _long(some, "all").filter(pl.col("verdict") != "undecidable")
    return percent(decided.select(CONSISTENT).to_series())


def _decayed(some: pl.DataFrame) -> tuple[int, int, int, int]:
    """Nets that decayed by more than 0.3: all, measured, within 15 %, inside the interval."""
    shown = _of_products(some)
    told = shown.filter(pl.col("estimate").is_not_null())
    near, inside = _near(told)
    return shown.height, told.height, int(near.sum()), int(inside.sum())


def claims(verdicts: pl.DataFrame) -> Iterator[str]:
    """How often true claims are decided, with more and more claims beside them."""
    true = verdicts.filter(pl.col("asked") != "false")
    shown = true.group_by("claim").agg((~(pl.col("verdict") == "undecidable")).any().alias("some"))
    names = sorted(shown.filter("some")["claim"])
    heads = ("nets", "alone", "usual card", "all claims", "contradicted", "95 % interval")
    yield from head("source", "claim", *heads)
    for source in ("weightspace", "plain PyTorch"):
        if source not in true["source"]:
            continue
        some = true.filter(pl.col("source") == source)
        for name in names:
            of = some.filter(pl.col("claim") == name)
            if of.height:
                yield row(source, f"`{name}`", *_claim(of))
        count = some.filter(pl.col("asked") == "all").height
        yield row(source, f"**all {count:,} claims**", *_claim(some)[:1], "", "", "",
                  *_claim(some)[4:])  # fmt: skip


def _claim(rows: pl.DataFrame) -> tuple[str, ...]:
    shares = (
        percent(rows.filter(pl.col("asked") == asked).select(CONSISTENT).to_series())
        for asked in ("alone", "usual", "all")
    )
    false = rows.filter(CONTRADICTED)["net"].n_unique()
    nets = rows["net"].n_unique()
    return (f"{nets:,}", *shares, f"{false}", interval(false, nets))


def optimizers(verdicts: pl.DataFrame) -> Iterator[str]:
    """The optimizer's family by kind and length."""
    yield from head("source", "kind", "optimizer", "steps", "nets", "consistent, alone",
                    "usual card", "all claims", "true claim contradicted",
                    "false claim contradicted")  # fmt: skip
    about = verdicts.filter(pl.col("claim") == "optimizer")
    for source in ("weightspace", "plain PyTorch"):
        kinds = sorted(set(about.filter(pl.col("source") == source)["kind"]))
        for kind in [*kinds, "all"]:
            for family in ("linear", "adaptive"):
                for _, length in LENGTHS:
                    some = about.filter(
                        pl.col("source").eq(source) & pl.col("family").eq(family)
                        & pl.col("length").eq(length)
                        & (pl.lit(kind == "all") | pl.col("kind").eq(kind))
                    )  # fmt: skip
                    if some.height:
                        yield row(source, kind, family, length, *_optimizer(some))


def _optimizer(rows: pl.DataFrame) -> tuple[str, ...]:
    true, false = rows.filter(pl.col("asked") != "false"), rows.filter(pl.col("asked") == "false")
    nets, *shares, wrong, _ = _claim(true)
    return (nets, *shares, wrong, percent(false.select(CONTRADICTED).to_series()))


def laws(rows: pl.DataFrame) -> Iterator[str]:
    """What each law alone says of true claims, by kind and length."""
    yield from head("law", "claim", "kind", "steps", "nets", "decided", "wrongly")
    each = rows.group_by("source", "law", "claim", "kind", "length", "net").agg(
        CONSISTENT.any().alias("right"), CONTRADICTED.any().alias("wrong")
    )
    table = each.group_by("law", "claim", "kind", "length").agg(
        pl.len().alias("nets"), (pl.col("right") | pl.col("wrong")).sum().alias("decided"),
        pl.col("wrong").sum(),
    )  # fmt: skip
    order = {name: place for place, (_, name) in enumerate(LENGTHS)}
    table = table.with_columns(pl.col("length").replace_strict(order).alias("order"))
    for one in table.sort("law", "claim", "kind", "order").iter_rows(named=True):
        yield row(one["law"], f"`{one['claim']}`", one["kind"], one["length"], one["nets"],
                  f"{100 * one['decided'] / one['nets']:.0f} %", one["wrong"])  # fmt: skip


def products(verdicts: pl.DataFrame) -> Iterator[str]:
    """The sum of rate x decay / (1 - momentum), where it is above 0.3."""
    yield from head("source", "kind", "optimizer", "nets", "estimated", "within 15 %",
                    "inside the 99 % interval")  # fmt: skip
    for (source, kind, family), some in (
        _of_products(verdicts)
        .sort("source", "kind", "family")
        .group_by("source", "kind", "family", maintain_order=True)
    ):
        told = some.filter(pl.col("estimate").is_not_null())
        near, inside = _near(told)
        yield row(source, kind, family, some.height, told.height, percent(near), percent(inside))


def _of_products(verdicts: pl.DataFrame) -> pl.DataFrame:
    return verdicts.filter(
        (pl.col("claim") == "weight_decay") & (pl.col("asked") == "all")
        & (pl.col("product") > 0.3) & pl.col("product").is_finite()
    )  # fmt: skip


def _near(told: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Which estimates are within 15 % of the truth, and which intervals hold it."""
    near = (told["estimate"] / told["product"] - 1).abs() <= 0.15
    return near, (told["low"] <= told["product"]) & (told["product"] <= told["high"])


def seeds(verdicts: pl.DataFrame) -> Iterator[str]:
    """Whether the seed of a net is found among those that are tried."""
    plain = verdicts.filter(
        (pl.col("source") == "plain PyTorch") & (pl.col("asked") == "all")
        & (pl.col("claim") == "seed") & (pl.col("initialization") == "torch_default")
    )  # fmt: skip
    yield from head("test accuracy", "nets", "true seed consistent", "contradicted")
    for name, some in (
        (f"below {LISTED:.0%}".replace("%", " %"), plain.filter(pl.col("accuracy") <= LISTED)),
        ("above", plain.filter(pl.col("accuracy") > LISTED)),
    ):
        wrong = some.filter(CONTRADICTED).height
        yield row(name, some.height, percent(some.select(CONSISTENT).to_series()), wrong)


def percent(values: pl.Series) -> str:
    return f"{100 * values.sum() / len(values):.0f} %" if len(values) else ""


def interval(count: int, of: int) -> str:
    """The 95 % interval of a share, in percent."""
    found = stats.binomtest(count, of).proportion_ci(0.95)
    return f"{100 * found.low:.2g}–{100 * found.high:.2g} %"


def head(*names: str) -> Iterator[str]:
    yield row(*names)
    yield f"|{'---|' * len(names)}"


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
