"""The commands of the benchmark, from a population to a leaderboard."""

from __future__ import annotations

import pytest

from support.benchmarks import MadeUp
from support.commands import document, printed, refused
from weightspace.bench import POPULATIONS, encoder
from weightspace.bench.populations import pin_of
from weightspace.space import preset
from weightspace.zoo import Zoo

OWN = """
from __future__ import annotations
from dataclasses import dataclass
from beside import NAME
@dataclass
class Kept:
    of: list[int]
class Mine:
    name, about = NAME, "says always the first level"
    def fit(self, rows, targets, *, seed, seconds):
        import numpy as np
        def read(others):
            shapes = [(len(others), len(t.levels)) if t.levels else len(others) for t in targets]
            return [np.zeros(shape) for shape in shapes]
        return read
class Nothing:
    name = "nothing"
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "beside.py").write_text("NAME = 'mine'\n")
    (tmp_path / "mine.py").write_text(OWN)
    return tmp_path / "mine.py"


def test_run_and_table(zoo, mine, tmp_path, capsys):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    said = printed(capsys, "bench", "run", zoo.path, "--encoder", "layers", "--out", first)
    assert "| layers |" in said
    found = document(capsys, "bench", "run", zoo.path, "--encoder", f"{mine}:Mine", "--out", second)
    assert (found["encoder"], found["judged"]) == ("mine", "test")
    by = {(one["task"], one["target"]): one for one in found["scores"]}
    assert by["properties", "optimizer"]["value"] == pytest.approx(1 / 3)
    drawn = tmp_path / "board.svg"
    table = printed(capsys, "bench", "table", first, second, "--figure", drawn)
    assert drawn.read_text(encoding="utf-8").startswith("<?xml")
    assert table.index("| layers |") < table.index("| mine |")
    assert len(document(capsys, "bench", "table", first, second)) == 2


def test_a_population_is_sampled_and_continued(tmp_path, capsys, monkeypatch):
    space = preset("demo").with_constants(
        dataset="digits", epochs=2, train_images=200, batch_size=16, optimizer="adam",
        depth_conv=2, filter_size=3, width_conv=4,
    )  # fmt: skip

    class Small(MadeUp):
        space = property(lambda self: space)

    monkeypatch.setitem(POPULATIONS, "demo", Small("demo", 10, {}, ""))
    out = tmp_path / "zoo"
    said = refused(capsys, "bench", "sample", "demo", "--out", out)
    assert "is not the population demo" in said
    monkeypatch.setitem(POPULATIONS, "demo", Small("demo", 10, {}, pin_of(Zoo(out))))
    assert document(capsys, "bench", "sample", "demo", "--out", out)["nets"] == 10
    assert "as their authors published" not in printed(
        capsys, "bench", "sample", "demo", "--out", out
    )


def test_bad_input_is_one_line(zoo, mine, tmp_path, capsys):
    run = ("bench", "run", zoo.path, "--out", tmp_path / "result.json", "--encoder")
    assert "known are shallow, kernel, pooled" in refused(capsys, *run, "transformer")
    assert "no such file" in refused(capsys, *run, tmp_path / "none.py:Mine")
    assert "has no Yours" in refused(capsys, *run, f"{mine}:Yours")
    assert "has no about" in refused(capsys, *run, f"{mine}:Nothing")
    assert "known are bench-small" in refused(
        capsys, "bench", "sample", "large", "--out", tmp_path / "zoo"
    )
    assert "No such file" in refused(capsys, "bench", "table", tmp_path / "none.json")
    assert not (tmp_path / "result.json").exists()


def test_an_encoder_knows_its_source():
    assert "layer" in encoder("layers").about
