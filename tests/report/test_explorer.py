"""The explorer: what its page holds of a zoo, and how it is written."""

from __future__ import annotations

import gzip
import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from support.commands import document, refused
from support.pages import read
from support.populations import SNAPSHOTS, SPACE, lacking, synthetic_zoo
from weightspace.errors import UsageError
from weightspace.networks import Layout
from weightspace.networks.layout import TensorSpec
from weightspace.report.exploring.collecting import BLOCK, Collected, collect
from weightspace.report.exploring.columns import columns_of
from weightspace.report.exploring.details import detail
from weightspace.report.exploring.kernels import fitting, kernels_of
from weightspace.report.exploring.packing import MISSING, as_text, coded, packed
from weightspace.report.exploring.page import explore, rendered
from weightspace.report.exploring.widget import Explorer
from weightspace.space.recipe import FIELDS
from weightspace.zoo import Zoo

KINDS = {"uint8": "u1", "int8": "i1", "uint16": "<u2", "uint32": "<u4", "float32": "<f4",
         "float64": "<f8"}  # fmt: skip
NETS = 18


def unpacked(text: str | bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """A pack as the page reads it: from the description in its docstring alone."""
    import base64

    data = gzip.decompress(base64.b64decode(text))
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length])
    body = data[4 + length :]
    arrays = {}
    for name, (kind, offset, count) in header["arrays"].items():
        assert (4 + length + offset) % 8 == 0
        arrays[name] = np.frombuffer(body, KINDS[kind], count, offset)
    return header, arrays


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return synthetic_zoo(tmp_path_factory.mktemp("explorer") / "zoo", nets=NETS)


@pytest.fixture(scope="module")
def found(zoo: Zoo) -> Collected:
    return collect(zoo)


@pytest.fixture(scope="module")
def page(found: Collected) -> str:
    return rendered(found)


def own_of(found: Collected, net: int) -> tuple[dict, dict[str, np.ndarray]]:
    """The header and the arrays of one net."""
    header, arrays = unpacked(found.blocks[net // BLOCK])
    place = net % BLOCK
    named = {name: array for name, array in arrays.items() if name.startswith(f"{place}.")}
    return header["nets"][place], {name.split(".")[1]: array for name, array in named.items()}


def test_a_pack_gives_back_its_arrays() -> None:
    arrays = {"a": np.arange(5, dtype=np.uint16), "b": np.array([1.5, math.nan]),
              "c": np.array([-3], np.int8), "d": np.empty(0, np.float32)}  # fmt: skip
    header, found = unpacked(as_text(packed({"x": "ü"}, arrays)))
    assert header["x"] == "ü"
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_codes_are_as_near_as_promised_and_say_what_is_missing() -> None:
    rng = np.random.default_rng(0)
    series = rng.normal(size=(6, 50)) * 10.0 ** np.arange(-20, 16, 6)[:, None]
    series[0, 3], series[1, 4], series[2, 5] = math.nan, math.inf, 1e300
    series[5] = math.nan
    low, high, codes = coded(series)
    assert [int((row == MISSING).sum()) for row in codes] == [1, 1, 1, 0, 0, 50]
    step = (high.astype(float) - low) / (MISSING - 1)
    back = low[:, None] + codes * step[:, None]
    sound = codes != MISSING
    error = np.abs(back - series)[sound] / np.broadcast_to(high - low, (50, 6)).T[sound]
    assert error.max() < 1 / 131068 + 1e-6  # the ends are float32
    constant = coded(np.full((1, 4), 0.25))
    assert constant[0] == constant[1] == 0.25
    assert (constant[2] == 0).all()


def test_every_row_is_a_snapshot_with_a_place(zoo: Zoo, found: Collected) -> None:
    assert list(found.nets) == zoo.nets["net"].to_list()
    assert np.diff(found.first).tolist() == [SNAPSHOTS] * NETS
    assert found.numbers.tolist() == [*range(1, SNAPSHOTS + 1)] * NETS
    for places in (found.plane, found.tsne):
        assert places.shape == (NETS * SNAPSHOTS, 2)
        assert np.isfinite(places).all()
    # The first axis has the largest spread of all directions.
    assert found.plane[:, 0].std() > found.plane[:, 1].std() > 0


def test_statistics_and_curves_are_those_of_the_zoo(zoo: Zoo, found: Collected) -> None:
    for net in (0, NETS - 1):
        name = found.nets[net]
        header, arrays = own_of(found, net)
        low, high = arrays["low"].astype(float), arrays["high"].astype(float)
        codes = arrays["codes"].reshape(len(low), -1)
        series = low[:, None] + codes * ((high - low) / (MISSING - 1))[:, None]
        rows = zoo.snapshots.filter(net=name).sort("snapshot")
        assert found.metrics[0] == "train_loss"
        for metric, values in zip(found.metrics, series, strict=False):
            np.testing.assert_allclose(values, rows[metric].to_numpy(), rtol=1e-4, atol=1e-5)
        assert arrays["epoch"].tolist() == rows["epoch"].to_list()
        assert header["layout"] == zoo.layout(name).key
        tensors = found.layouts[header["layout"]]
        assert [tensor[0] for tensor in tensors] == [one.name for one in zoo.layout(name).tensors]
        for i, spec in enumerate(zoo.layout(name).tensors):
            for side, of in enumerate((np.mean, np.std)):
                values = [
                    of(zoo.vector(name, k)[spec.offset : spec.stop].astype(float))
                    for k in range(1, SNAPSHOTS + 1)
                ]
                shown = series[len(found.metrics) + 2 * i + side]
                np.testing.assert_allclose(shown, values, rtol=1e-4, atol=1e-4)


def test_kernels_are_those_of_the_first_layer(zoo: Zoo, found: Collected) -> None:
    header, arrays = own_of(found, 1)
    name, layout = found.nets[1], zoo.layout(found.nets[1])
    spec = layout.tensors[0]
    about = header["kernels"]
    assert (about["kind"], about["tensor"], about["of"]) == ("kernels", "conv1.weight", 4)
    assert about["size"] == list(spec.shape)
    assert about["at"] == list(range(SNAPSHOTS))
    for k in range(SNAPSHOTS):
        truth = zoo.vector(name, k + 1)[spec.offset : spec.stop]
        shown = arrays["kernels"].reshape(SNAPSHOTS, -1)[k] * arrays["scales"][k]
        assert np.abs(shown - truth).max() <= 0.51 * arrays["scales"][k]


def dense(rows: int, columns: int) -> Layout:
    return Layout((TensorSpec("fc.weight", "weight", "fc", 0, (rows, columns), 0),))


def test_rows_are_images_only_where_the_recipe_explains_them() -> None:
    found = kernels_of(dense(100, 3 * 16 * 16), 16, 3)
    assert (found.kind, found.size) == ("rows", (64, 3, 16, 16))
    assert fitting(found, 2000).size == (2, 3, 16, 16)
    assert fitting(found, 10).size == (1, 3, 16, 16)
    assert kernels_of(dense(10, 768), 16, 1) is None
    assert kernels_of(dense(10, 784), None, None) is None
    assert kernels_of(Layout(()), 28, 1) is None


def test_what_is_not_finite_is_missing_and_not_placed() -> None:
    layout = dense(4, 9)
    vectors = np.ones((2, 36), np.float32)
    vectors[1, :3] = math.nan
    rows = pl.DataFrame({"snapshot": [1, 2], "step": [0, 5], "epoch": [None, None],
                         "test_loss": [2.0, math.inf]})  # fmt: skip
    own = detail(layout, vectors, rows, ("test_loss",), (3, 1), 10**6)
    assert own.arrays["codes"].reshape(3, 2)[:, 1].tolist() == [MISSING] * 3
    assert "epoch" not in own.arrays
    assert (own.arrays["kernels"].reshape(2, 36)[1, :3] == 0).all()


def test_columns_are_levels_numbers_constants_or_text() -> None:
    table = pl.DataFrame(
        {
            "net": [f"n{i}" for i in range(20)],
            "optimizer": ["adam", "sgd"] * 9 + [None, "adam"],
            "learning_rate": [10.0**-i for i in range(20)],
            "batch_size": [16, 32] * 10,
            "seed": [2**60 + i for i in range(20)],
            "diverged": [False] * 20,
            "diverged_step": pl.Series([None] * 20, dtype=pl.Int64),
            "note": [f"text \x1b[2J {i}" for i in range(20)],
            "score": [float(i) if i else math.nan for i in range(20)],
        }
    )
    found = {one.key: one for one in columns_of(table, SPACE, FIELDS)}
    kinds = {key: (one.kind, one.group) for key, one in found.items()}
    assert kinds == {
        "optimizer": ("levels", "varied"), "learning_rate": ("numbers", "varied"),
        "batch_size": ("levels", "varied"), "seed": ("text", "other"),
        "diverged": ("constant", "outcome"), "diverged_step": ("constant", "outcome"),
        "note": ("text", "outcome"), "score": ("numbers", "outcome"),
    }  # fmt: skip
    assert found["optimizer"].levels == ("adam", "sgd")
    assert found["optimizer"].values.tolist() == [0, 1] * 9 + [MISSING, 0]
    assert found["batch_size"].levels == ("16", "32")
    assert found["learning_rate"].name == "learning rate"


def test_of_a_large_zoo_some_nets_are_taken(zoo: Zoo) -> None:
    some = collect(zoo, most_nets=3, seed=1)
    assert len(some.nets) == 3
    assert [net for net in zoo.nets["net"] if net in some.nets] == list(some.nets)
    assert f"drawn at random from {NETS}" in rendered(some)
    with pytest.raises(UsageError, match="most_nets: 0 nets"):
        collect(zoo, most_nets=0)


def test_nets_may_lack_snapshots(zoo: Zoo, found: Collected) -> None:
    none = collect(lacking(zoo, 2, 1))
    assert np.diff(none.first).tolist() == [0, 0] + [SNAPSHOTS] * (NETS - 2)
    _, arrays = own_of(none, 1)
    assert arrays["codes"].size == arrays["kernels"].size == 0
    np.testing.assert_array_equal(own_of(none, 2)[1]["codes"], own_of(found, 2)[1]["codes"])


def test_the_page_loads_nothing_and_runs_only_its_own_script(page: str) -> None:
    reader = read(page)
    for tag, attributes in reader.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img"), tag
        assert not {"src", "action", "srcset", "href"} & set(attributes), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    policy = next(a["content"] for t, a in reader.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    kinds = [attributes.get("type") for attributes, _ in reader.scripts]
    assert kinds == ["application/octet-stream"] * (1 + math.ceil(NETS / BLOCK)) + [None]
    script = reader.scripts[-1][1]
    assert not any(
        word in script for word in ("innerHTML", "insertAdjacentHTML", "eval(", "fetch(")
    )


def test_the_main_pack_holds_the_columns_and_the_places(page: str, found: Collected) -> None:
    (text,) = (text for attributes, text in read(page).scripts if attributes.get("id") == "main")
    header, arrays = unpacked(text)
    assert header["nets"] == list(found.nets)
    assert arrays["first"].tolist() == found.first.tolist()
    (left, right), _ = header["maps"]["plane"]
    x = left + arrays["plane.x"] * (right - left) / (MISSING - 1)
    np.testing.assert_allclose(x, found.plane[:, 0], atol=(right - left) / 1e5)
    place = [column["name"] for column in header["columns"]].index("optimizer")
    levels = header["columns"][place]["levels"]
    shown = [levels[code] for code in arrays[f"column.{place}"]]
    assert shown == found.zoo.nets["optimizer"].to_list()


def test_the_command_writes_a_new_folder_whole(
    zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    told = document(capsys, "explore", zoo.path, "--out", out, "--most-nets", "2")
    assert [path.name for path in out.iterdir()] == ["explorer.html"]
    assert told == {
        "page": str(out / "explorer.html"),
        "bytes": (out / "explorer.html").stat().st_size,
    }
    assert "has files in it" in refused(capsys, "explore", zoo.path, "--out", out)
    assert "no zoo" in refused(capsys, "explore", tmp_path, "--out", tmp_path / "other")
    monkeypatch.setattr("weightspace.report.exploring.page.collect", lambda *a, **o: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        explore(zoo, tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_notebook_without_anywidget_is_told_what_to_install(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(UsageError, match=r'pip install "weightspace\[notebook\]"'):
        Explorer(zoo)
