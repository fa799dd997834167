"""Sentences over figures: they say what the numbers carry, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from support.made_up_dissection import much_frame, training_frame, when_frame, where_frame
from support.made_up_rows import flat, null_row
from weightspace.meta import Evaluation
from weightspace.report.claims import findings
from weightspace.report.claims.headline import headline
from weightspace.report.html.trust import fact_rows, sureness
from weightspace.report.text.markdown import markdown


def null_where(rng, places=20, properties=10):
    return flat(
        [
            null_row(rng, property=f"p{p}", axis="position", place=str(i), start=i / places,
                     stop=(i + 1) / places)
            for p in range(properties)
            for i in range(places)
        ]
        + [
            null_row(rng, property=f"p{p}", axis="part", place=part, start=0.0, stop=1.0)
            for p in range(properties)
            for part in ("conv", "fc")
        ]
    )  # fmt: skip


def null_when(rng, snapshots=20, properties=10):
    return flat(
        [
            null_row(rng, property=f"p{p}", snapshot=k + 1, fraction=k / (snapshots - 1))
            for p in range(properties)
            for k in range(snapshots)
        ]
    )


@pytest.mark.parametrize(
    ("finding", "frame"),
    [
        (findings.where, null_where),
        (findings.parts, null_where),
        (findings.when, null_when),
    ],
)
def test_chance_makes_no_finding(finding, frame):
    """Of 200 populations in which nothing is encoded, a sentence claims something in few."""
    rng = np.random.default_rng(5)
    claims = [text for _ in range(200) if not (text := finding(frame(rng))).startswith("No pro")]
    assert len(claims) <= 10, claims[:3]


def test_how_much_names_the_best_and_what_cannot_be_told():
    assert findings.much(headline(much_frame())) == (
        "Filter size is predicted from 5,000 weights with 91 % accuracy (chance 33 %); "
        "batch size cannot be distinguished from chance"
    )


def test_how_much_says_so_when_nothing_is_shown():
    nothing = dict.fromkeys(("augmentation", "batch_norm"), (2, 0.5))
    text = findings.much(headline(much_frame(nothing)))
    assert text.startswith("Nothing is predicted from 5,000 weights better than by chance (2 prop")


def test_how_much_counts_when_all_are_shown():
    text = findings.much(headline(much_frame({"optimizer": (3, 0.8), "dataset": (5, 0.7)})))
    assert text.endswith("with 80 % accuracy (chance 33 %), and all 2 properties are above chance")


def test_where_names_the_place_that_matters_most():
    text = findings.where(where_frame())
    assert text.startswith(
        "Filter size is predicted best from weights near the start of the weight"
    )
    assert "and worst" in text
    assert "; the place matters for" in text


def test_where_is_silent_about_a_single_place():
    one = where_frame().filter(axis="position", place="1")
    none = "No property's accuracy depends significantly on the place along the weight vector"
    assert findings.where(one) == none


def test_parts_name_both_sides():
    rows = []
    for name, conv, fc in (("augmentation", 0.95, 0.5), ("width_fc", 0.5, 0.9)):
        for part, accuracy in (("conv", conv), ("fc", fc)):
            about = {"property": name, "axis": "part", "place": part, "start": 0.0, "stop": 1.0}
            span = {"accuracy": accuracy, "low": accuracy - 0.04, "high": accuracy + 0.04}
            rows.append(about | span | {"chance": 0.5, "running_stats": True})
    expected = "Augmentation is predicted better from conv weights, width fc from fc weights"
    assert findings.parts(flat(rows)) == expected


def test_when_tells_the_first_snapshot_from_later_ones():
    text = findings.when(when_frame(), ["initialization", "filter_size"])
    assert text.startswith("Initialization, filter size, width conv and depth conv can be predi")
    assert "become predictable between" in text
    assert "batch size" not in text


def test_an_accuracy_within_reach_of_permuted_labels_is_no_finding():
    rows = [
        {"property": "optimizer", "snapshot": 1, "fraction": 0.0}
        | {"accuracy": 0.6, "low": 0.57, "high": 0.63, "chance": 0.5, "running_stats": True}
    ]
    assert "can be predicted before the first training step" in findings.when(flat(rows))
    wide = flat(rows).with_columns(control_low=pl.lit(0.3), control_high=pl.lit(0.7))
    assert findings.when(wide) == "No property is significantly above chance at any snapshot"


def test_training_names_the_best_and_the_worst():
    text = findings.training(training_frame())
    said = "The median test accuracy of the nets ends between 96 % on mnist and 47 % on stl10"
    assert text == said


def test_the_order_is_by_the_share_of_the_way_from_chance():
    found = headline(much_frame({"augmentation": (2, 0.7), "dataset": (5, 0.6)}))
    assert found.properties == ["dataset", "augmentation"]
    assert [line.skill for line in found.lines] == pytest.approx([0.5, 0.4])


def test_one_classifier_is_shown_for_all_properties_with_the_baseline_beside():
    frame = much_frame()
    third = frame.filter(classifier="boosted").with_columns(
        pl.lit("third").alias("classifier"),
        # Best in one property alone: no reason to switch to it there.
        pl.when(pl.col("property") == "batch_size").then(0.9).otherwise(0.3).alias("accuracy"),
    )
    found = headline(pl.concat([frame, third]))
    assert found.classifier == "boosted"
    line = found.lines[-1]
    assert (line.name, line.accuracy) == ("batch_size", 0.26)
    assert line.shallow.value == pytest.approx(0.25 + 0.7 * 0.01)


@pytest.mark.parametrize("name", ["layers", "raw", "sequence"])
def test_who_reads_whole_nets_is_said_to(name):
    frame = (
        much_frame()
        .filter(classifier="boosted")
        .with_columns(pl.lit(name).alias("classifier"), pl.lit("net").alias("unit"))
    )
    assert headline(frame).source == "whole nets"


def test_the_baseline_alone_is_shown_as_the_classifier():
    found = headline(much_frame().filter(classifier="shallow"))
    assert found.classifier == "shallow"
    assert all(line.shallow is None for line in found.lines)


@pytest.mark.parametrize(
    ("low", "control_high", "verdict"),
    [(0.51, 0.5, "encoded"), (0.51, 0.55, "not shown"), (0.5, 0.4, "not shown"),
     (0.51, None, "above chance"), (0.5, None, "not shown")],
)  # fmt: skip
def test_the_verdict_asks_for_more_than_chance_and_more_than_the_control(
    low, control_high, verdict
):
    frame = much_frame({"augmentation": (2, 0.6)}).with_columns(
        pl.lit(low).alias("low"), pl.lit(control_high, pl.Float64).alias("control_high")
    )
    (line,) = headline(frame).lines
    assert line.verdict == verdict


def test_how_sure_tells_of_dead_and_diverged_nets():
    frame = much_frame()
    head = headline(frame)
    told = " ".join(sureness(Evaluation(frame), head, {"nets": 310, "diverged": 1, "dead": 7}))
    assert (
        "Of 310 nets, 1 net diverged and was left out and 7 nets stayed at chance or never" in told
    )
    assert "Tested on 300 nets" in told
    assert "5 folds, split by net" in told
    assert "95 % range of its accuracies ends at 55 % where chance is 50 %" in told
    none = " ".join(sureness(Evaluation(frame), head, {"nets": 310, "diverged": 0, "dead": 0}))
    assert "No net diverged, and none stayed at chance" in none


def test_without_a_control_nothing_is_called_encoded():
    missing = [
        pl.lit(None, pl.Float64).alias(n) for n in ("control", "control_low", "control_high")
    ]
    frame = much_frame().with_columns(missing)
    head = headline(frame)
    told = " ".join(sureness(Evaluation(frame), head, {}))
    assert "No control with permuted labels was run, so no property is called encoded" in told
    assert "Control:" not in told
    text = markdown(Evaluation(frame))
    assert "| above chance |" in text
    assert "encoded" not in text


def test_facts_keep_what_they_do_not_know():
    rows = dict(fact_rows({"values": 1234567, "moon": "full", "boundaries": [1], "command": "x"}))
    assert rows == {"weights in all": "1,234,567", "moon": "full"}
