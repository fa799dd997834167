"""Figures, tables and displays: complete, legible, and without side effects."""

from __future__ import annotations

import matplotlib as mpl
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from support.figures import printed, texts, title
from support.made_up_dissection import PROPERTIES, made_up, much_frame, training_frame, where_frame
from weightspace.errors import UsageError
from weightspace.meta import Answer, Reading
from weightspace.report import (
    answer_table,
    display,
    figures,
    save,
    save_all,
    table,
    write,
)

NAMES = ("much", "whole", "where", "part", "when", "training")
ONE = {"augmentation": PROPERTIES["augmentation"]}


@pytest.fixture(scope="module")
def drawn():
    return figures(made_up())


def test_every_question_has_its_figure_titled_with_its_finding(drawn):
    assert tuple(drawn) == NAMES
    assert title(drawn["much"]).startswith("Filter size is predicted from 5,000 weights with 9")
    assert "predicted best from weights near the start" in title(drawn["where"])
    assert title(drawn["part"]).startswith("Optimizer is predicted better from conv weights")
    assert "can be predicted before the first training step" in title(drawn["when"])
    assert "mnist" in title(drawn["training"])
    assert "fashion mnist: 85 %" in [text.get_text() for text in texts(drawn["training"])]


@pytest.mark.parametrize("name", NAMES)
def test_every_property_has_its_place_and_no_text_leaves_the_sheet(drawn, name):
    figure = drawn[name]
    found = {text.get_text() for text in texts(figure)}
    if name != "training":
        assert {key.replace("_", " ") for key in PROPERTIES} <= found
    renderer = FigureCanvasAgg(figure).get_renderer()
    width, height = figure.bbox.width, figure.bbox.height
    for text in texts(figure):
        box = text.get_window_extent(renderer)
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{text.get_text()!r} at {box}"


def test_titles_and_their_explanations_do_not_touch(drawn):
    for figure in drawn.values():
        renderer = FigureCanvasAgg(figure).get_renderer()
        head, reading = (t.get_window_extent(renderer) for t in figure.texts[:2])
        assert head.y0 > reading.y1


def test_numbers_beside_the_rows_keep_apart_at_100_percent():
    certain = {"activation": (4, 1.0), "optimizer": (3, 0.99), "batch_size": (4, 0.5)}
    figure = figures(made_up(much=much_frame(certain)))["whole"]
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in figure.texts]
    assert "100 %" in dict(boxes)
    for i, (text, box) in enumerate(boxes):
        apart = [not box.overlaps(other) for _, other in boxes[:i]]
        assert all(apart), f"{text!r} touches {boxes[apart.index(False)][0]!r}"


def test_drawing_changes_no_global_state():
    before = dict(mpl.rcParams)
    figures(made_up())
    assert dict(mpl.rcParams) == before
    from matplotlib import pyplot

    assert pyplot.get_fignums() == []


def test_figures_are_saved_for_print(drawn, tmp_path):
    paths = save_all(drawn, tmp_path / "new" / "figures")
    assert {path.name for path in paths} == {
        f"{name}{suffix}" for name in NAMES for suffix in (".png", ".svg")
    }
    image = imread(tmp_path / "new" / "figures" / "much.png")
    assert image.shape[1] == pytest.approx(7.6 * 150, abs=1)
    assert (image[..., :3] < 0.99).any()
    assert "<svg" in (tmp_path / "new" / "figures" / "when.svg").read_text()


def test_an_unknown_suffix_is_refused(drawn, tmp_path):
    with pytest.raises(UsageError, match=r"figures are saved as \.png, \.svg, \.pdf"):
        save(drawn["much"], tmp_path / "much.bmp")


def test_names_from_a_zoo_are_never_read_as_mathematics(tmp_path):
    nasty = training_frame({"$\\frac{": 0.5, "a_b^c$": 0.9})
    figure = figures(made_up(training=nasty))["training"]
    save(figure, tmp_path / "training.png")
    assert any("$\\frac{" in text.get_text() for text in texts(figure))


def test_what_has_no_numbers_has_no_figure():
    empty = made_up()
    bare = made_up(
        where=empty.where.frame().clear(),
        when=empty.when.frame().clear(),
        training=empty.training.frame().clear(),
    )
    assert list(figures(bare)) == ["much", "whole"]
    positions = where_frame().filter(axis="position")
    assert list(figures(made_up(where=positions)))[:4] == ["much", "whole", "where", "when"]


def test_a_single_property_is_drawn(tmp_path):
    small = made_up(much=much_frame(ONE), where=where_frame(ONE))
    for name, figure in figures(small).items():
        save(figure, tmp_path / f"{name}.png")


def test_a_dissection_is_written_as_one_folder(tmp_path):
    from weightspace.dissection import Dissection
    from weightspace.meta.evaluation.result import COLUMNS, Evaluation

    frame = much_frame()
    missing = {name: None for name in COLUMNS if name not in frame.columns}
    much = Evaluation(frame.with_columns(**missing).select(*COLUMNS).cast(COLUMNS))
    whole = made_up().but(much=much)
    page = write(whole, tmp_path / "out")
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (tmp_path / "out" / "figures" / "part.svg").exists()
    assert Dissection.load(tmp_path / "out").facts == whole.facts


def test_the_table_says_what_is_encoded():
    lines = printed(table(made_up().much)).splitlines()
    assert "Predicted from 5,000 weights by boosted, 300 nets" in lines[0]
    best = next(line for line in lines if "filter size" in line)
    assert " ".join(best.split()) == "filter size 91 % 88–94 % 33 % 74 % 28–38 % encoded"
    worst = next(line for line in lines if "batch size" in line)
    assert worst.rstrip().endswith("not shown")
    assert "several slices" in printed(table(made_up().much, unit="net"))


def test_the_table_says_which_part_and_snapshot_was_read():
    frame = much_frame().with_columns(part=pl.lit("conv"), snapshots=pl.lit("1, 10"))
    said = printed(table(made_up(much=frame).much)).splitlines()[0]
    assert "Predicted from 5,000 conv weights by boosted, 300 nets, at snapshots 1, 10" in said
    whole = frame.with_columns(classifier=pl.lit("layers"))
    said = printed(table(made_up(much=whole).much, unit="net")).splitlines()[0]
    assert "Predicted from all conv weights of nets by layers" in said


def test_brackets_in_names_are_no_markup():
    odd = {"[red]width[/red]": (2, 0.9)}
    assert "[red]width[/red]" in printed(table(made_up(much=much_frame(odd)).much))


def answer(reasons=()):
    def reading(name, level, told):
        return Reading(
            name, levels=("adam", "[b]"), level=level, probability=0.8, probabilities=(0.2, 0.8),
            source="weights", reason="", right=0.75, right_nets=40, possible=("[b]",),
            coverage=0.95, told=told, lost=0.03, conditional=told < 0.9, accuracy=0.8, low=0.7,
            high=0.9, chance=0.5,
        )  # fmt: skip

    readings = [reading("optimizer", "[b]", 0.95), reading("activation", "[b]", 0.3)]
    readings.append(reading("batch_size", None, 0.95))
    return Answer(
        {r.property: r for r in readings}, "kernel", 8, novelty=0.01, novelty_limit=0.05,
        reasons=reasons,
    )  # fmt: skip


def test_an_answer_says_how_often_such_answers_were_right():
    lines = [" ".join(line.split()) for line in printed(answer_table(answer())).splitlines()]
    assert "optimizer [b] 80 % 75 % 40 [b] 95 %" in lines
    assert "activation [b], if known 80 % 75 % 40 [b] 30 %" in lines
    assert "batch size none? [b] 95 %" in lines
    assert any("1.0 % of its features" in line for line in lines)


def test_an_answer_outside_of_the_population_has_no_rows_but_reasons():
    shown = " ".join(printed(answer_table(answer(("no batch norm",)))).split())
    assert "[b]" not in shown
    assert "Outside of the model's population: no batch norm." in shown


@pytest.mark.parametrize("kind", ["much", "where", "when"])
def test_displays_give_frame_figure_and_html(kind):
    whole = made_up()
    shown = display(getattr(whole, kind), whole.facts)
    assert shown.frame() is getattr(whole, kind).frame()
    assert shown.plot().axes
    html = shown._repr_html_()
    assert 'src="data:image/png;base64,' in html
    assert html.count("<tr>") == shown.frame().height + 1


def test_a_display_escapes_what_a_zoo_says():
    hostile = {"<img src=x onerror=alert(1)>": (2, 0.9)}
    html = display(made_up(much=much_frame(hostile)).much)._repr_html_()
    assert "<img src=x" not in html.replace("_", " ")
    assert "&lt;img src=x" in html


def test_where_can_be_drawn_by_part():
    whole = made_up()
    assert title(display(whole.where).plot("part")).startswith("Optimizer is predicted better")
