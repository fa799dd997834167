"""The best classifier for each number, and whether the number is read above chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightspace.meta import Regression


def best_readers(regression: Regression) -> list[dict[str, Any]]:
    """A row for each target: the classifier with the highest R2, on slices or on whole nets.

    `tries` is the number of results that were compared: targets times classifiers.
    """
    best = regression.frame().filter(unit="net").sort("r2", descending=True)
    rows = []
    for row in best.unique("target", keep="first", maintain_order=True).to_dicts():
        bars = [row["r2_control_high"], row["tau_control_high"]]
        shown = row["r2_low"] > max(0, bars[0] or 0) and row["tau_low"] > max(0, bars[1] or 0)
        known = "above chance" if None in bars else "encoded"
        row["tries"] = best.height
        row["verdict"] = known if shown else "not shown"
        own = "" if row["part"] == "all" else f" {row['part']} weights"
        slices = f"slices of {row['slice_length']:,}{own}"
        nets = f"all{own} of nets" if own else "whole nets"
        row["source"] = nets if row["classifier"] == "layers" else slices
        rows.append(row)
    order = regression.frame()["target"].unique(maintain_order=True).to_list()
    return sorted(rows, key=lambda row: order.index(row["target"]))
