"""What a dissection may hold besides: found, silent, drawn and on the page where it is there."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import stats

from support.chromium import CHROMIUM, browse
from support.figures import printed, texts, title
from support.made_up_dissection import (
    DATASETS,
    NETS,
    PROPERTIES,
    made_up,
    much_frame,
    regression,
    slices_frame,
    transfer_frame,
    whole,
)
from support.made_up_rows import flat, null_row
from support.pages import read
from weightspace import report
from weightspace.dissection import Slices, When
from weightspace.dissection.what import TAMPERINGS, group_of
from weightspace.errors import UsageError
from weightspace.meta import CLASSIFIERS, Evaluation, Regression
from weightspace.meta.model.reader import FEATURE_NAMES
from weightspace.report import display, displays, figures, page, rival_tables
from weightspace.report.claims.beside import side_by_side
from weightspace.report.claims.headline import headline
from weightspace.report.contents import CONTENTS
from weightspace.report.html import trust
from weightspace.report.html.glossary import WHAT, glossary
from weightspace.report.sections import (
    bare,
    calibration,
    cells,
    classifiers,
    guesses,
    maps,
    numbers,
    slices,
    transfer,
    unseen,
    what,
)
from weightspace.report.text import markdown

BESIDE = (
    *("classifiers", "slices", "bare", "numbers", "guesses", "transfer"),
    *("groups", "tensors", "tampering", "map", "paths", "calibration"),
    *("unseen", "unseen_whole"),
)


@pytest.fixture(scope="module")
def full():
    return whole()


@pytest.fixture(scope="module")
def drawn(full):
    return figures(full)


@pytest.fixture(scope="module")
def text(full):
    return page(full)


def null_slices(rng, properties=4):
    return flat(
        [
            null_row(rng, property=f"p{p}", slices=count) | {"slice_length": length, "n_nets": NETS}
            for p in range(properties)
            for length in (64, 500, 5000)
            for count in (1, 4, 16)
        ]
    )


def null_transfer(rng, properties=4, moments=3):
    return flat(
        [
            null_row(rng, property=f"p{p}", learned=s, tested=t)
            | {"learned_fraction": s / moments, "tested_fraction": t / moments}
            for p in range(properties)
            for s in range(moments)
            for t in range(moments)
        ]
    )


def null_pairs(rng, properties=4):
    def row(name):
        # Well above chance, with and without: there is something to read, but no difference.
        return null_row(rng, chance=0.5, property=name) | {"chance": 0.25}

    return [bare.Pair(row(f"p{p}"), row(f"p{p}")) for p in range(properties)]


def null_what(rng, kind, properties=4, groups=7):
    rows = [
        null_row(rng, chance=0.5, property=f"p{p}", kind=kind, name=name) | {"chance": 0.25}
        for p in range(properties)
        for name in ("as it is", *map(str, range(groups)))
    ]
    for row in rows:
        error = 0.03
        drop = rng.normal(0, error)
        row |= {"drop": drop, "drop_low": drop - 1.96 * error, "drop_high": drop + 1.96 * error}
        row |= {"control_low": None, "control_high": None}
    return flat(rows)


def null_unseen(rng, properties=4):
    """Six left out, of which each property, that nobody can read, loses by chance alone."""
    rows = [
        null_row(rng, property=f"p{p}", without=f"q{q}", level=level, unit="net")
        for p in range(properties)
        for q in range(6)
        for level in (None, "a", "b", "c")
    ]
    for row in rows:
        error = 0.03 if row["level"] is None else 0.05
        drop = rng.normal(0, error)
        row |= {"drop": drop, "drop_low": drop - 1.96 * error, "drop_high": drop + 1.96 * error}
        row |= {"control_high": None, "known": row["accuracy"] + drop}
    return flat(rows).with_columns(pl.col("level").cast(pl.String))


def null_classifiers(rng, properties=4):
    """Three that read well above chance, and none better than another but by luck."""
    rows = []
    for name in ("first", "second", "third"):
        for p in range(properties):
            drop = None if name == "first" else rng.normal(0, 0.03)
            row = null_row(rng, chance=0.5, property=f"p{p}", classifier=name, seen="slice")
            ends = [None if drop is None else drop + reach for reach in (-1.96 * 0.03, 1.96 * 0.03)]
            about = {"drop": drop, "drop_low": ends[0], "drop_high": ends[1]}
            rows.append(row | about | {"chance": 0.25})
    return pl.DataFrame(rows, infer_schema_length=None)


def null_map(rng, nets=60, properties=3):
    levels = {f"p{p}": rng.choice(["a", "b", "c"], nets) for p in range(properties)}
    about = {"net": [f"{i}" for i in range(nets)], "snapshot": 7, "fraction": 1.0, "method": "tsne"}
    return pl.DataFrame(about | {"x": rng.normal(size=nets), "y": rng.normal(size=nets)} | levels)


@pytest.mark.parametrize(
    ("finding", "made", "silence"),
    [
        (slices.finding, null_slices, "No property is significantly above chance"),
        (
            transfer.finding,
            null_transfer,
            "Classifiers trained on snapshots before the first training step predict no property ",
        ),
        (bare.finding, null_pairs, "Leaving out batch norm's running statistics changes no"),
        (
            lambda frame: what.finding(frame, "slice"),
            lambda rng: null_what(rng, "slice"),
            "No property depends significantly on a single group",
        ),
        (
            lambda frame: what.finding(frame, "tampering"),
            lambda rng: null_what(rng, "tampering"),
            "No property is predicted significantly worse from altered slices",
        ),
        (
            lambda frame: unseen.finding(frame, "net"),
            null_unseen,
            "No accuracy is significantly lower on nets with levels left out",
        ),
        (
            classifiers.finding,
            null_classifiers,
            "From slices, no classifier predicts significantly better",
        ),
        (lambda frame: maps.finding(frame, []), null_map, "Neighbouring nets share no property"),
    ],
    ids=["slices", "transfer", "bare", "groups", "tampering", "unseen", "classifiers", "map"],
)
def test_chance_makes_no_finding(finding, made, silence):
    """Of 200 populations in which nothing differs, it claims something in no more than 5 %.

    The bound is what 5 % reach by luck once in a thousand runs; without a stricter bar for many
    comparisons it would be some 40.
    """
    rng = np.random.default_rng(6)
    claims = [said for _ in range(200) if not (said := finding(made(rng))).startswith(silence)]
    assert len(claims) <= stats.binom.ppf(0.999, 200, 0.05), claims[:3]


def test_slices_name_the_shortest_and_what_several_gain():
    said = slices.finding(slices_frame(), list(PROPERTIES))
    assert said.startswith(
        "Filter size, optimizer, initialization and activation can be predicted f"
    )
    assert "augmentation, width conv, dataset and depth conv need 500 to 5,000 weights" in said
    # Lengths that only some nets reach are compared with nothing.
    assert said.endswith(
        "16 slices of 5,000 weights instead of one raise the accuracy for filter size from 77 % "
        "to 91 %"
    )


def test_one_number_of_slices_has_nothing_to_gain():
    one = slices_frame().filter(slices=1)
    assert "instead of one" not in slices.finding(one)
    assert "taken together" not in slices.reading(one)


def test_transfer_tells_what_stays_from_what_changes():
    said = transfer.finding(transfer_frame())
    first = r"Classifiers trained on .* before the first training step still predict filter size \("
    assert re.match(rf"{first}.*width conv.*depth conv", said)
    assert re.search(r"for initialization, training on .* from 77\s% to 28\s%$", said)


def test_what_could_not_be_read_when_it_was_learned_is_not_read_later():
    at_chance = (pl.col("property") == "width_conv") & (pl.col("learned") == 1)
    at_once = at_chance & (pl.col("tested") == 1)
    figures = ("accuracy", "low", "high")
    told = transfer_frame().with_columns(
        pl.when(at_once).then(pl.col("chance") + by).otherwise(pl.col(name)).alias(name)
        for name, by in zip(figures, (0, -0.02, 0.02), strict=True)
    )
    last = told.filter(at_chance, tested=20).row(0, named=True)
    assert last["low"] > last["chance"]
    said = transfer.finding(told)
    assert "filter size (" in said
    assert "width conv" not in said


def test_numbers_name_what_is_read_and_what_is_not():
    assert numbers.finding(regression()) == (
        "Test accuracy (R²\u00a00.95) and learning rate (R²\u00a00.60) can be predicted from whole "
        "nets as numbers; progress cannot be distinguished from chance"
    )
    nothing = regression({"progress": ("linear", (0.0, 1.0), 0.02)})
    assert numbers.finding(nothing).startswith(
        "No number is predicted significantly better than by"
    )
    found = guesses.finding(guesses.guesses(nothing))
    assert found.startswith("No prediction of a number is significantly better")


def test_guesses_are_told_on_the_scale_a_reader_knows():
    by_name = {own.target: own for own in guesses.guesses(regression())}
    assert by_name["learning_rate"].miss.startswith("a factor of 1.")
    assert by_name["learning_rate"].text(-3.0) == "0.001"
    assert by_name["test_accuracy"].miss.endswith("points")
    assert not by_name["progress"].significant
    many = by_name["progress"]
    longer = replace(many, truth=np.tile(many.truth, 9), guess=np.tile(many.guess, 9))
    assert len(longer.drawn) == 600
    assert "At most 600 of up to 2,700" in guesses.reading([longer])


def test_a_truth_that_never_varies_has_no_scatter():
    known = regression()
    flat_truth = known.guesses.with_columns(pl.lit(0.5).alias("truth"))
    assert guesses.guesses(Regression(known.table, flat_truth)) == []


def test_running_statistics_are_tested_on_the_same_nets(full):
    pairs = bare.pairs(full.much, full.bare, headline(full.much.frame()))
    assert all(pair.low is not None for pair in pairs)
    assert bare.finding(pairs).startswith("Without batch norm's running statistics filter size is")
    same = bare.pairs(full.much, full.much, headline(full.much.frame()))
    assert bare.finding(same).startswith("Leaving out batch norm's running statistics changes no")
    # Only tables: intervals as if the nets were others.
    tables = Evaluation(full.much.table), Evaluation(full.bare.table)
    assert all(p.low is None for p in bare.pairs(*tables, headline(full.much.frame())))


def test_a_cell_shows_a_loss_where_it_is_significant(full, drawn):
    rows = cells.page_rows(full.what.frame().filter(kind="tampering", property="filter_size"))
    assert [(row["text"], row["lost"]) for row in rows] == [("91", ""), ("45", "−46"), ("85", "−6")]
    vague = full.what.frame().with_columns(drop_low=-0.01)
    assert {row["lost"] for row in cells.page_rows(vague)} == {""}
    assert {"45", "−46"} <= {text.get_text() for text in texts(drawn["tampering"])}


def test_the_page_explains_the_classifiers_that_it_names(full, text):
    opening = text[: text.index("<main>")]
    known = [name for name in full.much.frame()["classifier"].unique() if name in CLASSIFIERS]
    assert known
    for name in known:
        assert f"<dt>{name}</dt><dd>{CLASSIFIERS[name].about}</dd>" in opening
    assert "<dt>paper</dt>" not in opening


def test_the_page_explains_what_its_figures_show(full):
    groups = {group_of(name, "local") for name in FEATURE_NAMES["local"]}
    assert groups | (set(TAMPERINGS) - {what.UNTOUCHED}) <= set(WHAT)
    words = dict(glossary(full))
    shown = {name.rpartition(", ")[2] for name in full.what.frame()["name"]}
    assert {"snapshot", "progress", "permuted labels", "significant"} | (shown & set(WHAT)) <= set(
        words
    )
    gone = full.but(what=None, numbers=None, bare=None, when=When(full.when.frame().clear()))
    assert not {"snapshot", "progress", "running statistics", *WHAT} & set(dict(glossary(gone)))


def test_calibration_is_told_in_points(full):
    table, _ = calibration.figures_of(full.much)
    assert calibration.finding(table) == (
        "Predicted probabilities and observed frequencies differ by 2.8 percentage points on "
        "average (12.3 without temperature scaling), and most for batch size: by 4.6"
    )
    assert calibration.figures_of(Evaluation(much_frame())) is None


def test_how_sure_tells_of_dead_nets_and_calibration(full):
    head = headline(full.much.frame())
    told = trust.sureness(full.much, head, full.facts)
    (dead,) = [said for said in told if "dead nets are left out of the test" in said]
    change = full.much.among_living().filter(classifier="boosted", unit="slice")
    gain = (change["accuracy"] - change["all"]).abs().max()
    assert f"{100 * gain:+.1f} points" in dead
    assert "293 nets" in dead
    assert "on the same nets" in " ".join(told)
    assert "differ by 2.8 percentage points on average" in trust.summary(full.much, head)
    living = full.much.hits.with_columns(dead=False)
    told = trust.sureness(replace(full.much, hits=living), head, full.facts)
    assert not any("dead nets are left out of the test" in said for said in told)


def test_classifiers_stand_side_by_side_on_the_same_nets(full):
    frame = side_by_side(full.much)
    names = ["boosted: slice", "shallow: slice", "boosted: net's slices", "shallow: net's slices"]
    assert frame["name"].unique(maintain_order=True).to_list() == names
    pair = full.much.compare("boosted", "shallow", "slice").row(0, named=True)
    own = frame.filter(property=pair["property"], name="shallow: slice").row(0, named=True)
    assert (own["drop"], own["drop_low"]) == (pair["difference"], pair["low"])
    assert frame.filter(classifier="boosted")["drop"].is_null().all()
    assert classifiers.finding(frame).startswith("From slices, boosted predicts")
    one = frame.filter(classifier="boosted")
    assert classifiers.finding(one) == "Only boosted reads slices"
    # Without hits of single nets there is nothing to compare.
    alone = made_up().but(much=Evaluation(full.much.table))  # with few other figures to draw
    assert "classifiers" not in figures(alone)


def test_rivals_are_compared_in_the_terminal_where_there_are_two(full):
    assert rival_tables(full.much) == []
    more = renamed(full.much, "shallow", "patches")
    lines = printed(rival_tables(more)[0]).splitlines()
    assert lines[0].strip() == "From slices, in points relative to boosted"
    pair = more.compare("boosted", "patches", "slice").filter(property="filter_size")
    (row,) = pair.to_dicts()
    (line,) = [line for line in lines if "filter size" in line]
    told = [f"{round(-100 * row[end]):+d}" for end in ("difference", "high", "low")]
    assert line.rstrip().endswith(f"{told[0]} ({told[1]} to {told[2]})")
    assert len(rival_tables(more)) == 1
    assert rival_tables(Evaluation(more.table)) == []


def test_a_baseline_that_leads_is_no_rival(full):
    """Whoever is best, the others are compared with the one that the table names."""
    worse = full.much.hits.with_columns(
        hit=pl.when(pl.col("classifier") == "shallow").then(pl.lit(1.0)).otherwise("hit")
    )
    table = full.much.table.with_columns(
        accuracy=pl.when(pl.col("classifier") == "shallow").then(pl.lit(0.99)).otherwise("accuracy")
    )
    more = renamed(replace(full.much, table=table, hits=worse), "boosted", "copy")
    (drawn,) = rival_tables(more)
    (line,) = [line for line in printed(drawn).splitlines() if "filter size" in line]
    assert "+0 (-" in line
    found = classifiers.finding(side_by_side(more))
    assert found.startswith("From slices, no classifier predicts significantly better")


def renamed(evaluation, name, other):
    """The evaluation with a classifier more, which is another under its own name."""

    def doubled(frame):
        return pl.concat(
            [frame, frame.filter(classifier=name).with_columns(classifier=pl.lit(other))]
        )

    return replace(evaluation, table=doubled(evaluation.table), hits=doubled(evaluation.hits))


def test_what_names_the_group_whose_loss_costs_most(full):
    frame = full.what.frame()
    assert what.finding(frame, "slice") == (
        "Filter size depends most on quantiles: its accuracy falls by 35 points when these "
        "features are swapped between nets; 8 more depend on some group"
    )
    said = what.finding(frame, "tampering")
    assert said == "Without the order of the weights, filter size falls from 91 % to 45 %"


@pytest.mark.parametrize("kind", ["slice", "tampering"])
def test_what_permuted_labels_lose_too_is_no_finding(full, kind):
    """The largest losses are of 35 and of 46 points, where luck gives 30 either way."""
    frame = full.what.frame()
    wide = frame.with_columns(
        control_low=pl.col("chance") - 0.3, control_high=pl.col("chance") + 0.3
    )
    assert what.finding(frame, kind) != what.finding(wide, kind)
    assert what.finding(wide, kind).startswith("No property")
    shown = cells.page_rows(wide.filter(kind=kind, property="filter_size"))
    assert str(shown[0]["tip_shown"]).endswith("chance 33 %, permuted labels 3–63 %")


def test_new_kinds_of_nets_name_what_is_lost_and_what_holds(full):
    said = unseen.finding(full.unseen.frame(), "net")
    assert said.startswith(
        "Activation falls from 65 % to 25 % on nets whose dataset (level 0) is not in the training "
        "set; "
    )
    assert said.endswith("can be predicted whatever level is left out")
    assert "batch size" not in said
    two = full.unseen.frame().filter(pl.col("property").is_in(["activation", "filter_size"]))
    found = unseen.finding(two, "net")
    assert found.endswith("; filter size can be predicted whatever level is left out")
    cell = unseen.shown(full.unseen.frame(), "net").filter(property="activation")
    weak = cell.filter("weak")
    assert weak.select("without", "worst").rows() == [("dataset", "level 0: 25 %")]
    assert [row["lost"] for row in cells.page_rows(weak)] == ["−20 !"]
    one = full.unseen.frame().filter(property="batch_size")
    assert unseen.finding(one, "slice").startswith("No accuracy is significantly lower")


def test_the_map_names_what_neighbours_share(full):
    frame = full.map.frame()
    assert maps.finding(frame, []) == (
        "100 % of nets have the same initialization as their nearest neighbour on the map "
        "(24 % by chance)"
    )
    # All nets move by 9, whatever the distance between them.
    assert maps.paths_finding(frame).startswith("In this plane, training moves the median net by 0")
    assert maps.levels(frame, "batch_size") == ["32", "64", "128"]
    assert maps.paths(maps_of(frame, 400))["net"].n_unique() == 120


def maps_of(frame, times):
    """A map of many more nets."""
    return pl.concat(
        frame.filter(method="pca").head(8).with_columns(net=pl.format("{}-{}", "net", pl.lit(i)))
        for i in range(times)
    )


def test_numbers_and_slices_are_told_in_markdown(full):
    told = markdown.numbers_markdown(full.numbers)
    assert "predicted for 300 nets" in told
    assert "| test accuracy | whole nets | **0.95** | 0.87 to 1.00 |" in told
    assert "| progress | whole nets | 0.02 | -0.06 to 0.10 |" in told
    told = markdown.slices_markdown(full.slices)
    assert told.startswith("Accuracy by length of slice, 1 slice / 16 slices together; the")
    assert "longest exist in 100 of 300 nets" in told
    assert "| filter size | 33 % | 48 % / 54 % | 62 % / 74 % | 77 % / 91 % | 91 % / 91 % |" in told
    holed = Slices(
        full.slices.frame().filter((pl.col("slices") == 1) | (pl.col("slice_length") > 50))
    )
    assert "| 48 % / – |" in markdown.slices_markdown(holed)


@pytest.fixture(scope="module")
def all_shown(full):
    return displays(full)


def test_no_other_display_is_there(all_shown):
    assert set(all_shown) == {shown.name for shown in CONTENTS}


@pytest.mark.parametrize("part", sorted(shown.name for shown in CONTENTS))
def test_every_part_has_a_display(all_shown, drawn, part):
    shown = all_shown[part]
    assert all(drawn[name].axes for name in shown.figures)
    html = shown._repr_html_()
    assert 'src="data:image/png;base64,' in html
    assert html.count("<tr>") == min(1000, shown.frame().height) + 1


def test_displays_can_be_drawn_another_way(all_shown):
    shown = all_shown
    assert title(shown["numbers"].plot("guesses")).startswith("Half of the predictions lie within")
    assert title(shown["classifiers"].plot()).startswith("From slices, boosted predicts")
    assert title(shown["map"].plot("paths")).startswith("In this plane")
    assert set(displays(made_up())) == {"much", "where", "when", "training"}
    with pytest.raises(UsageError, match=r"^plot: no figure path; there are map, paths$"):
        shown["map"].plot("path")


def test_one_result_has_a_display_by_itself(full, all_shown):
    for name in ("much", "numbers", "slices", "unseen", "map"):
        part = getattr(full, name)
        assert display(part).figures == all_shown[name].figures
        assert display(part).frame() is part.frame()
    assert display(full.where, full.facts).plot().axes
    with pytest.raises(UsageError, match=r"^where: has no numbers to show$"):
        display(type(full.where)(full.where.frame().clear()))


def test_the_classes_of_the_first_release_still_make_displays(full):
    with pytest.warns(DeprecationWarning, match=r"WhenDisplay is now weightspace.report.display;"):
        old = report.WhenDisplay
    assert old(full.when).plot().axes
    with pytest.raises(AttributeError, match="NoDisplay"):
        report.NoDisplay  # noqa: B018 - the access is what is tested


@pytest.mark.parametrize("name", BESIDE)
def test_every_figure_is_titled_with_its_finding_and_stays_on_its_sheet(drawn, text, name):
    figure = drawn[name]
    found = " ".join(re.sub("<[^>]+>", "", text).replace("\u00a0", " ").split())
    assert title(figure) in found.replace("&#39;", "'")
    canvas = FigureCanvasAgg(figure)
    # Labels of axes find their place only when they are drawn.
    canvas.draw()
    renderer = canvas.get_renderer()
    width, height = figure.bbox.width, figure.bbox.height
    for written in texts(figure):
        box = written.get_window_extent(renderer)
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{written.get_text()!r} at {box}"


def test_the_page_opens_with_the_answers_and_leads_to_every_figure(text, full):
    opening = text[: text.index("<main>")]
    for question in ("How much", "Where", "When", "What", "How sure"):
        assert f"<dt>{question}</dt>" in opening
    links = re.findall(r'href="#(\w+)"', opening)
    ids = re.findall(r'<section id="(\w+)"', text)
    assert sorted(links) == sorted(ids)
    assert set(BESIDE) < set(ids)


def test_its_charts_have_their_numbers_and_stay_small(text):
    assert len(text) < 3_000_000
    data = next(body for attributes, body in read(text).scripts if attributes.get("id"))
    known = json.loads(data)
    assert len(known["transfer"]["rows"]) == 400 * len(PROPERTIES)
    assert set(known["guesses"]["specs"]) == {"learning_rate", "test_accuracy", "progress"}
    assert "all of them are in transfer.parquet" in text


def test_what_was_not_asked_for_is_not_there(full):
    gone = dict.fromkeys(("slices", "transfer", "numbers", "what", "map", "unseen"))
    gone |= {name: type(p := getattr(full, name))(p.frame().clear()) for name in ("where", "when")}
    assert set(figures(full.but(**gone))) == {
        *("much", "whole", "training"),
        *("classifiers", "bare", "calibration"),
    }


def test_a_length_or_a_moment_that_is_missing_is_drawn_without():
    holes = slices_frame().filter((pl.col("slices") == 1) | (pl.col("slice_length") > 50))
    uncontrolled = holes.with_columns(control_low=None, control_high=None).cast(holes.schema)
    few = transfer_frame().filter(pl.col("learned") % 7 == 1)
    for drawn in (slices.figure(uncontrolled, []), transfer.figure(few, [])):
        FigureCanvasAgg(drawn).draw()
    assert len(slices.section(uncontrolled, []).rows) == 10 * (4 + 2 * 3)
    assert len(transfer.section(few, []).rows) == 10 * 3 * 20


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed here")
def test_a_browser_draws_all_of_it_without_a_complaint(text, tmp_path):
    dom, console = browse(text, tmp_path)
    assert console == ""
    assert 'data-state="ready"' in dom
    drawings = re.findall(r"<svg[^>]*class=\"marks\".*?</svg>", dom, re.S)
    # A map has a panel for both of its properties.
    several = len(DATASETS) + 6 * len(PROPERTIES)
    assert len(drawings) == 5 + 3 + 3 + 2 + 2 + 1 + several
    assert all(drawing.count("<path") > 5 for drawing in drawings)
