"""`evaluate` and `dissect` as a person types them: what is read, written and left out."""

from __future__ import annotations

import json

import polars as pl
import pytest

from support.commands import document, printed, refused
from support.populations import SPACE, synthetic_zoo
from weightspace.cli.app import run
from weightspace.dissection import Dissection
from weightspace.meta import Evaluation, Regression, Study
from weightspace.space import Constant, Space
from weightspace.zoo import Zoo

QUICK = ("--seeds", "0", "--slices-per-net", 2, "--permutations", 0, "--classifiers", "shallow")
NUMBERS = {"numbers.parquet", "guesses.parquet"}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return synthetic_zoo(tmp_path_factory.mktemp("reading") / "zoo", nets=40)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Nets enough for accuracies and too few for numbers."""
    return synthetic_zoo(tmp_path_factory.mktemp("reading") / "few", nets=28)


def values(zoo: Zoo, part: str, running_stats: bool) -> int:
    """Values of the shortest net's part."""
    layouts = [zoo.layout(net) for net in zoo.nets["net"]]
    return min(len(layout.indices(part, running_stats)) for layout in layouts)


def test_numbers_are_read_off_what_was_asked_for(zoo, tmp_path, capsys):
    """With the part of the command, and at its snapshots: by default the whole net at the end."""
    asked = ("evaluate", zoo.path, "--out", tmp_path, *QUICK)
    document(capsys, *asked, "--part", "conv", "--snapshots", 1, "--no-running-stats")
    table = Regression.read(tmp_path).frame()
    of_nets = table.filter(pl.col("target") != "progress")
    length = values(zoo, "conv", running_stats=False)
    for name, value in {"part": "conv", "running_stats": False, "slice_length": length}.items():
        assert table[name].unique().to_list() == [value]
    assert of_nets["snapshots"].unique().to_list() == ["1"]
    assert table.filter(target="progress")["snapshots"].unique().to_list() == ["1, 2, 3, 4, 5"]
    same = ("part", "running_stats", "snapshots", "slice_length")
    assert Evaluation.read(tmp_path).frame().select(same).unique().rows() == (
        of_nets.select(same).unique().rows()
    )


@pytest.mark.parametrize("part", ["all", "conv", "fc"])
@pytest.mark.parametrize("running_stats", [True, False])
def test_a_slice_is_as_long_as_the_shortest_net_allows(zoo, part, running_stats):
    length = Study.of(zoo, part=part, running_stats=running_stats).source.slice_length
    assert length == min(5000, values(zoo, part, running_stats))


def test_nets_that_are_left_out_do_not_shorten_slices(zoo):
    sizes = {net: len(zoo.layout(net).indices("conv")) for net in zoo.nets["net"]}
    short = [net for net, size in sizes.items() if size == min(sizes.values())]
    others = Zoo(zoo.path)
    others.nets = others.nets.with_columns(diverged=pl.col("net").is_in(short))
    found = Study.of(others, part="conv").source.slice_length
    assert found == min(size for size in sizes.values() if size > min(sizes.values()))


def test_a_part_that_is_too_short_is_named(tmp_path, capsys):
    narrow = {"width_conv": Constant(1), "depth_conv": Constant(1), "filter_size": Constant(3)}
    narrow |= {"blocks": Constant(1)}
    space = Space("narrow", SPACE.distributions | narrow)
    zoo = synthetic_zoo(tmp_path / "zoo", nets=3, space=space)
    line = refused(capsys, "evaluate", zoo.path, "--out", tmp_path / "out", "--part", "conv")
    short = values(zoo, "conv", running_stats=True)
    assert f"part: conv has {short} values in the shortest net, a slice needs 64 or more" in line


def test_a_slice_of_no_values_is_refused_and_not_taken_for_the_default(zoo, tmp_path, capsys):
    line = refused(capsys, "evaluate", zoo.path, "--out", tmp_path, "--slice-length", 0)
    assert "slice_length: 0 values are too few; give at least 64" in line


def test_tables_of_an_earlier_run_do_not_stay_beside_the_new(zoo, tmp_path, capsys):
    asked = ("evaluate", zoo.path, "--out", tmp_path, "--slice-length", 1000, *QUICK)
    printed(capsys, *asked)
    (tmp_path / "notes.txt").write_text("of the user")
    assert {file.name for file in tmp_path.iterdir()} > NUMBERS
    assert "batch_norm" in refused(capsys, *asked, "--properties", "batch_norm")
    assert {file.name for file in tmp_path.iterdir()} > NUMBERS  # nothing new in their place
    printed(capsys, *asked, "--properties", "filter_size")
    assert not NUMBERS & {file.name for file in tmp_path.iterdir()}
    assert (tmp_path / "notes.txt").exists()


def test_what_can_be_evaluated_is_though_numbers_cannot(few, tmp_path, capsys):
    asked = ["evaluate", few.path, "--out", tmp_path, "--slice-length", 1000, *QUICK, "--json"]
    assert run([str(argument) for argument in asked]) == 0
    said = capsys.readouterr()
    assert said.err.count("no numbers: nets: 28 are too few") == 1
    found = json.loads(said.out)
    assert found["rows"]
    assert found["numbers"] == []
    assert Evaluation.read(tmp_path).frame().height == len(found["rows"])


def test_a_dissection_says_why_it_has_no_numbers(few, tmp_path, capsys):
    asked = ("dissect", few.path, "--out", tmp_path, "--slice-length", 1000, *QUICK)
    text = printed(capsys, *asked, "--positions", 2, "--also", "numbers",
                   "--properties", "filter_size")  # fmt: skip
    why = "nets: 28 are too few for an interval of a regression"
    assert f"no numbers: {why}" in text
    assert why in (tmp_path / "report.html").read_text(encoding="utf-8")
    stored = Dissection.load(tmp_path)
    assert stored.numbers is None
    assert why in stored.facts["no_numbers"]
