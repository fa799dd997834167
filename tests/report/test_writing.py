"""Results over results: together or not at all, over our own alone, and never through a link."""

from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

from support.killing import KilledError, killed_at
from support.made_up_dissection import full_evaluation, made_up, regression, whole
from support.saving import fill, mounted
from weightspace.disk import InnerPath
from weightspace.dissection import Dissection, storage
from weightspace.errors import DataError, UsageError
from weightspace.meta import Evaluation, Regression
from weightspace.meta.evaluation import tables
from weightspace.meta.evaluation.result import COLUMNS, FILES
from weightspace.report import save_all, write, writing
from weightspace.report.contents import sections


def complete(evaluation: Evaluation) -> Evaluation:
    """With all columns, so that it can be read again."""
    missing = {name: None for name in COLUMNS if name not in evaluation.table.columns}
    table = evaluation.table.with_columns(**missing).select(*COLUMNS).cast(COLUMNS)
    return Evaluation(table, None, evaluation.hits, evaluation.calibration, evaluation.reliability)


@pytest.fixture(scope="module")
def everything() -> Dissection:
    found = whole(bare=complete(full_evaluation()))
    return found.but(much=complete(found.much))


@pytest.fixture(scope="module")
def little() -> Dissection:
    plain = made_up()
    return plain.but(much=complete(plain.much))


@pytest.fixture
def drawn(monkeypatch):
    """Figures and a page that take no time: what is looked at is where they go."""

    def few(dissection):
        names = writing.FIGURES if dissection.map else ("much", "where")
        return dict.fromkeys(names)

    monkeypatch.setattr(writing, "figures", few)
    monkeypatch.setattr(writing, "page", lambda dissection: f"page {dissection.map is not None}")
    monkeypatch.setattr(writing.canvas, "drawn", lambda figure, suffix: suffix.encode())


def below(folder: Path) -> dict[str, bytes]:
    files = [place for place in folder.rglob("*") if place.is_file() or place.is_symlink()]
    return {str(place.relative_to(folder)): place.read_bytes() for place in files}


def times(folder: Path) -> dict[str, int]:
    """When each entry was changed."""
    return {str(place): place.lstat().st_mtime_ns for place in folder.rglob("*")}


def test_every_figure_has_a_name_that_is_known(everything):
    found = sections(everything)
    lacking = set(writing.FIGURES) - {section.name for section in found}
    assert not lacking, f"{lacking}: add its frame to made_up_dissection.whole"
    assert {section.name for section in found} == set(writing.FIGURES)


def test_what_an_older_run_wrote_goes_and_what_the_user_wrote_stays(
    everything, little, drawn, tmp_path
):
    write(little, tmp_path / "little")
    out = tmp_path / "out"
    write(everything, out)
    assert set(below(out)) > {"bare/hits.parquet", "numbers/numbers.parquet", "figures/map.svg"}
    for name in ("notes.md", "figures/mine.png", "numbers/mine.txt"):
        (out / name).write_text("mine")
    write(little, out)
    theirs = dict.fromkeys(("notes.md", "figures/mine.png", "numbers/mine.txt"), b"mine")
    assert below(out) == below(tmp_path / "little") | theirs
    assert not (out / "bare").exists()
    assert Dissection.load(tmp_path / "little").bare is None


def test_a_saved_dissection_takes_an_older_ones_place_alone(everything, little, tmp_path):
    everything.save(tmp_path)
    assert Dissection.load(tmp_path).numbers is not None
    (tmp_path / "bare" / "mine").write_text("mine")
    little.save(tmp_path)
    assert set(below(tmp_path / "bare")) == {"mine"}
    (tmp_path / "bare" / "mine").unlink()
    (tmp_path / "bare").rmdir()
    assert Dissection.load(tmp_path).bare is None


@pytest.mark.parametrize("name", ["figures", "bare", "numbers"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_in_place_of_a_folder_is_refused_before_anything(
    little, everything, drawn, tmp_path, name, kind
):
    out = tmp_path / "out"
    little.save(out)
    aside = tmp_path / "aside"
    aside.mkdir()
    (aside / "much.png").write_text("mine")
    pl.DataFrame(schema=COLUMNS).write_parquet(aside / "evaluation.parquet")
    if kind == "link":
        (out / name).symlink_to("../aside")
    else:
        (out / name).write_text("mine")
    before, precious = times(out), below(aside)
    for dissection in (little, everything):
        with pytest.raises(DataError, match=f"{name}: is a link or not a folder"):
            write(dissection, out)
    assert times(out) == before
    assert below(aside) == precious


def test_links_in_place_of_files_are_replaced(everything, drawn, tmp_path):
    out, aside = tmp_path / "out", tmp_path / "aside"
    write(everything, out)
    write(everything, aside)
    ways = ("evaluation.parquet", "facts.json", "bare/hits.parquet", "figures/much.png",
            "report.html", "table.md")  # fmt: skip
    for way in ways:
        (out / way).unlink()
        (out / way).symlink_to(aside / way)
    precious, before = below(aside), times(aside)
    write(everything, out)
    assert not any(place.is_symlink() for place in out.rglob("*"))
    assert below(aside) == precious
    assert times(aside) == before


FOREIGN = {
    "facts.json": b'{"cats": "sleep", "dogs": "bark"}',
    "evaluation.parquet": b"not a table",
    "map.parquet": None,  # a table of something else
    "bare/hits.parquet": None,
    "numbers/guesses.parquet": None,
    "report.html": b"<html>mine</html>",
    "table.md": b"mine",
    "figures/training.png": b"mine",
}


@pytest.mark.parametrize("way", FOREIGN)
def test_nothing_foreign_is_replaced_or_removed(everything, little, drawn, tmp_path, way):
    place = tmp_path / way
    place.parent.mkdir(exist_ok=True)
    if FOREIGN[way] is None:
        pl.DataFrame({"cat": ["Tom"], "lives": [9]}).write_parquet(place)
    else:
        place.write_bytes(FOREIGN[way])
    before = below(tmp_path)
    for dissection in (everything, little):
        with pytest.raises(UsageError, match=rf"{way}: is .*, and is not overwritten") as caught:
            write(dissection, tmp_path)
        assert "\n" not in str(caught.value)
        assert below(tmp_path) == before


def test_a_folder_of_an_evaluation_may_become_one_of_a_dissection(little, drawn, tmp_path):
    little.much.to_parquet(tmp_path)
    regression().to_parquet(tmp_path)
    write(little, tmp_path)
    assert Dissection.load(tmp_path).facts == little.facts
    assert Regression.read(tmp_path).table.height


def test_tables_of_older_and_newer_releases_are_ours(little, tmp_path):
    few = little.much.table.select("property", "accuracy")
    more = little.much.table.with_columns(invented=1)
    for table in (few, more):
        table.write_parquet(tmp_path / "evaluation.parquet")
        little.much.to_parquet(tmp_path)
        assert Evaluation.read(tmp_path).table.equals(little.much.table)


@pytest.mark.parametrize(
    "facts", [{}, {"nets": 3}, {"nets": 3, "seeds": 1, "mine": 2}, {"space": "x", "used": 3}]
)
def test_facts_of_a_dissection_are_known_again(little, tmp_path, facts):
    Dissection(facts, little.parts).save(tmp_path)
    little.save(tmp_path)
    assert Dissection.load(tmp_path).facts == little.facts


def test_a_foreign_table_is_not_removed_with_the_numbers(tmp_path):
    pl.DataFrame({"cat": ["Tom"]}).write_parquet(tmp_path / "numbers.parquet")
    with pytest.raises(UsageError, match=r"numbers\.parquet: is not a table that weightspace"):
        Regression.remove(tmp_path)
    assert (tmp_path / "numbers.parquet").exists()


def test_killed_anywhere_every_file_is_the_old_or_the_new(tmp_path):
    ways = ("facts.json", "b/table", "c/table")
    for n in count():
        root = InnerPath(tmp_path / f"{n}")
        root.root.mkdir()
        tables.replace(root, dict.fromkeys((*ways, "d/old"), b"old"))
        (root.root / "d" / "mine").write_bytes(b"mine")
        killed = True
        try:
            with killed_at(n):
                tables.replace(root, dict.fromkeys(ways, b"new"), [*ways, "d/old"])
            killed = False
        except KilledError:
            pass
        found = {way: data for way, data in below(root.root).items() if not way.endswith(".tmp")}
        left = [found.pop(way) for way in ways]
        assert left == sorted(left)  # the new ones first
        assert set(left) <= {b"old", b"new"}
        assert found.pop("d/mine") == b"mine"
        assert found in ({}, {"d/old": b"old"})
        assert found or b"old" not in left  # gone when all that is new is there
        tables.replace(root, dict.fromkeys(ways, b"third"), [*ways, "d/old"])
        assert below(root.root) == dict.fromkeys(ways, b"third") | {"d/mine": b"mine"}
        if not killed:
            break
    assert n > 15


def test_a_full_disk_leaves_all_of_the_older_results(everything, little, drawn, tmp_path):
    with mounted(tmp_path / "disk", "size=2m") as full:
        write(little, full / "out")
        before = below(full / "out")
        fill(full)
        for act in (write, Dissection.save, lambda d, out: save_all({"much": None}, out)):
            with pytest.raises(DataError, match="the disk is full") as caught:
                act(everything, full / "out")
            assert "\n" not in str(caught.value)
            assert below(full / "out") == before
            assert not (full / "out" / "bare").exists()


def test_a_column_of_another_type_is_refused_unread(little, tmp_path):
    """Of extension types and large decimals, polars makes a panic."""
    little.save(tmp_path)
    place = tmp_path / "map.parquet"
    levels = {name: pa.array([], pa.large_string()) for name in ("net", "method")}
    numbers = {name: pa.array([], pa.float64()) for name in ("fraction", "x", "y")}
    mine = levels | numbers | {"snapshot": pa.array([], pa.int64())}
    for kind in (pa.decimal256(70, 3), pa.list_(pa.int64()), pa.timestamp("ns", "Mars/Olympus")):
        pq.write_table(pa.table(mine | {"odd\n": pa.array([], kind)}), place)
        with pytest.raises(
            DataError,
            match=r"map\.parquet: (column odd. is .*, a type that no column|not a .*nested column)",
        ):
            Dissection.load(tmp_path)
        pq.write_table(pa.table(mine | {"x": pa.array([], kind)}), place)
        with pytest.raises(
            DataError, match=r"map\.parquet: (column x is .*, not Float64|not a .*)"
        ):
            Dissection.load(tmp_path)


@pytest.mark.parametrize("way", ["facts.json", "evaluation.parquet", "where.parquet"])
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "loop", "huge"])
def test_what_is_no_file_of_results_is_refused_at_once(little, tmp_path, way, kind):
    little.save(tmp_path)
    before = set(below(tmp_path))
    place = tmp_path / way
    most = {"facts.json": storage.MOST_FACTS}.get(way, tables.MOST)
    if kind == "huge":
        os.truncate(place, most + 1)  # takes no space
    else:
        place.unlink()
        make = {
            "fifo": lambda: os.mkfifo(place),
            "device": lambda: place.symlink_to("/dev/zero"),
            "folder": place.mkdir,
            "loop": lambda: place.symlink_to(place.name),
        }
        make[kind]()
    said = {"loop": "symbolic links", "huge": f"at most {most:,} are allowed"}
    pattern = f"{way}: .*{said.get(kind, 'is not a regular file')}"
    with pytest.raises(DataError, match=pattern) as caught:
        Dissection.load(tmp_path)
    assert "\n" not in str(caught.value)
    if kind == "loop":
        with pytest.raises(UsageError, match=f"{way}: is .*, and is not overwritten"):
            little.save(tmp_path)
    else:
        with pytest.raises(DataError, match=f"{way}: "):
            little.save(tmp_path)
    assert len(times(tmp_path)) == len(before)


def test_a_figure_takes_a_links_place_and_leaves_what_it_led_to(tmp_path):
    from weightspace.report import save

    (tmp_path / "precious").write_text("mine")
    (tmp_path / "much.svg").symlink_to("precious")
    figure = Figure()
    assert save(figure, tmp_path / "much.svg") == tmp_path / "much.svg"
    assert (tmp_path / "precious").read_text() == "mine"
    assert "<svg" in (tmp_path / "much.svg").read_text()
    with pytest.raises(DataError, match="is not a valid name of a file"):
        save_all({"../much": figure}, tmp_path)


def test_the_files_of_an_evaluation_are_those_it_writes(little, tmp_path):
    assert set(little.much.to_bytes()) == set(FILES)
    assert json.loads(little.to_bytes()["facts.json"]) == little.facts
