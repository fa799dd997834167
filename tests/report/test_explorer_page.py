"""The page of the explorer in a real browser, with nets that were really trained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from support.chromium import chromium, complaints, open_explorer, until_true
from weightspace.meta import Model, fit
from weightspace.report.exploring.collecting import BLOCK, Collected, collect
from weightspace.report.exploring.page import rendered
from weightspace.sampling import sample
from weightspace.space import Constant, Space, preset
from weightspace.zoo import Zoo

pytestmark = pytest.mark.slow
NETS = 64


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    demo = preset("demo")
    varied = dict(demo.distributions) | {"epochs": Constant(3)}
    space = Space("explored", varied)
    out = tmp_path_factory.mktemp("explored") / "zoo"
    return sample(space, nets=NETS, out=out, workers=1, snapshots=20, evaluation_images=100)


@pytest.fixture(scope="module")
def model(zoo: Zoo) -> Model:
    return fit(zoo, properties=("initialization", "depth_conv"), classifier="layers")


@pytest.fixture(scope="module")
def found(zoo: Zoo, model: Model) -> Collected:
    return collect(zoo, model)


@pytest.fixture(scope="module")
def page(found: Collected, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    path.write_text(rendered(found), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def window() -> Iterator[Any]:
    with chromium(1440, 1000) as driver:
        yield driver


@pytest.fixture
def driver(window: Any, page: Path) -> Iterator[Any]:
    open_explorer(window, page)
    yield window
    assert complaints(window) == []


def places(driver: Any) -> np.ndarray:
    """Where the nets lie on the canvas, float [nets, 2]."""
    return np.array(driver.execute_script(
        "const m = weightspaceExplorer.map; return Array.from(m.rows, (row) => m.at(row))"
    ))  # fmt: skip


def choose(driver: Any, menu: str, text: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("id", menu)).select_by_visible_text(text)


def drag(
    driver: Any, points: list[tuple[float, float]], key: str | None = None
) -> list[tuple[float, float]]:
    """Press the mouse on the map at the first point, and move it over the others.

    Returns where the mouse really was, which has whole pixels of the screen.
    """
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = driver.find_element("id", "map")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    driver.execute_script(
        "const box = arguments[0].getBoundingClientRect(); window.trace = [];"
        "const note = (e) => "
        "e.buttons && window.trace.push([e.clientX - box.left, e.clientY - box.top]);"
        "arguments[0].addEventListener('pointerdown', note);"
        "arguments[0].addEventListener('pointermove', note)",
        canvas,
    )
    middle = np.array([canvas.size["width"], canvas.size["height"]]) // 2
    chain = ActionChains(driver, duration=20)
    for place, (x, y) in enumerate(points):
        chain.move_to_element_with_offset(canvas, *(np.array([x, y]) - middle).astype(int).tolist())
        if place == 0:
            chain.key_down(key) if key else None
            chain.click_and_hold()
    chain.release()
    chain.key_up(key) if key else None
    chain.perform()
    return [tuple(point) for point in driver.execute_script("return window.trace")]


def inside(points: np.ndarray, polygon: list[tuple[float, float]]) -> np.ndarray:
    """Which points lie in a polygon: those around which it winds."""
    ring = np.array([*polygon, polygon[0]], float)
    ways = ring[None] - points[:, None]
    angles = np.arctan2(ways[..., 1], ways[..., 0])
    turns = np.diff(angles, axis=1)
    turns = (turns + np.pi) % (2 * np.pi) - np.pi
    return np.abs(turns.sum(axis=1)) > np.pi


def selected(driver: Any) -> set[str]:
    return set(driver.execute_script(
        "const e = weightspaceExplorer; return e.choice.chosen().map((i) => e.world.nets[i])"
    ))  # fmt: skip


def legend(driver: Any) -> dict[str, int]:
    items = driver.find_elements("css selector", "#legend li")
    pairs = [item.text.rpartition(" ") for item in items]
    return {text: int(count.replace(",", "")) for text, _, count in pairs}


def counts(zoo: Zoo, column: str) -> dict[str, int]:
    return {
        str(value).lower(): count
        for value, count in zoo.nets.group_by(column).len().sort(column).iter_rows()
    }


def told(driver: Any) -> dict[str, str]:
    """The names and values of a net that the page shows."""
    names = driver.find_elements("css selector", "#net dt")
    values = driver.find_elements("css selector", "#net dd")
    text = "textContent"
    return {a.get_property(text): b.get_property(text) for a, b in zip(names, values, strict=True)}


def test_colours_follow_a_column(driver: Any, zoo: Zoo) -> None:
    choose(driver, "colour", "optimizer")
    assert legend(driver) == counts(zoo, "optimizer")
    seen = driver.execute_script(
        "const m = weightspaceExplorer.map, c = m.context, ratio = m.ratio;"
        "m.paint();"
        "return Array.from(m.rows, (row) => Array.from(c.getImageData("
        "...m.at(row).map((one) => Math.round(one * ratio)), 1, 1).data))"
    )
    series = driver.execute_script(
        "return weightspaceExplorer.state.paint.colours.map((one) => "
        "[1, 3, 5].map((i) => parseInt(one.slice(i, i + 2), 16)))"
    )
    optimizers = sorted(set(zoo.nets["optimizer"]))
    points = places(driver)
    free = [
        i for i in range(NETS)
        if np.sort(np.hypot(*(points - points[i]).T))[1] > 9  # no other dot covers it
    ]  # fmt: skip
    assert len(free) > 5
    for i in free:
        colour = np.array(series[1 + optimizers.index(zoo.nets["optimizer"][i])])
        shown = np.array(seen[i][:3])
        assert np.abs(0.9 * colour + 0.1 * 255 - shown).max() < 60, zoo.nets["net"][i]
        others = [np.abs(0.9 * np.array(one) + 25.5 - shown).sum() for one in series[1:4]]
        assert int(np.argmin(others)) == optimizers.index(zoo.nets["optimizer"][i])
    choose(driver, "colour", "learning rate")
    assert driver.find_element("css selector", "#legend p").text == "learning rate"
    shown = [float(one.text) for one in driver.find_elements("css selector", ".bar span")]
    rates = zoo.nets["learning_rate"]
    assert shown[0] == pytest.approx(rates.min(), rel=1e-3)
    assert shown[2] == pytest.approx(rates.max(), rel=1e-3)


def test_a_lasso_selects_what_lies_inside(driver: Any, found: Collected) -> None:
    points = places(driver)
    middle = np.median(points, axis=0)
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    radius = np.where(np.arange(12) % 2, 60, 130)  # a star, which is not convex
    star = [(middle[0] + r * np.cos(a), middle[1] + r * np.sin(a))
            for r, a in zip(radius, angles, strict=True)]  # fmt: skip
    driver.find_element("css selector", "input[value=lasso]").click()
    drawn = drag(driver, star)
    assert len(drawn) >= len(star)
    lies = inside(points, drawn)
    names = {found.nets[i] for i in np.flatnonzero(lies)}
    assert 2 < len(names) < NETS
    assert selected(driver) == names
    assert driver.find_element("id", "counts").text == f"{NETS} nets, {len(names)} selected"
    # With Alt, a triangle takes nets out again.
    triangle = [star[0], (middle[0], middle[1]), star[3]]
    from selenium.webdriver.common.keys import Keys

    drawn = drag(driver, triangle, Keys.ALT)
    left = names - {found.nets[i] for i in np.flatnonzero(inside(points, drawn))}
    assert 0 < len(left) < len(names)
    assert selected(driver) == left
    saved = driver.find_element("id", "names").get_property("href")
    assert saved == "data:text/plain;charset=utf-8," + "%0A".join(
        net for net in found.nets if net in left
    )


def test_filters_keep_what_fits_and_count(driver: Any, zoo: Zoo) -> None:
    choose(driver, "filter", "optimizer")
    driver.find_element("xpath", "//fieldset[@class='filter']//label[contains(., 'adam')]").click()
    kept = zoo.nets.filter(zoo.nets["optimizer"] != "adam")
    heading = driver.find_element("id", "counts")
    assert heading.text == f"{kept.height} of {NETS} nets fit the filters, 0 selected"
    choose(driver, "filter", "learning rate")
    low = float(np.median(kept["learning_rate"]))
    field = driver.find_element("xpath", "//label[starts-with(., 'from')]/input")
    field.send_keys(f"{low:.5f}")
    both = kept.filter(kept["learning_rate"] >= round(low, 5))
    assert heading.text == f"{both.height} of {NETS} nets fit the filters, 0 selected"
    # Each level has the number of its nets that fit the other filters.
    fast = zoo.nets.filter(zoo.nets["learning_rate"] >= round(low, 5))
    chips = driver.find_elements("css selector", ".filter .chip")
    shown = {text: int(count) for text, count in (chip.text.split() for chip in chips)}
    assert shown == {name: fast.filter(optimizer=name).height for name in counts(zoo, "optimizer")}
    driver.find_element("id", "take").click()
    assert selected(driver) == set(both["net"])
    listed = driver.find_elements("css selector", "#list tbody tr")
    assert len(listed) == min(40, both.height)
    driver.find_element("css selector", ".filter button").click()
    assert heading.text.startswith(f"{fast.height} of")


def test_a_click_shows_the_recipe_the_kernels_and_what_the_model_reads(
    driver: Any, zoo: Zoo, model: Model
) -> None:
    points = places(driver)
    apart = [np.sort(np.hypot(*(points - one).T))[1] for one in points]
    net = int(np.argmax(apart))
    drag(driver, [tuple(points[net])])
    until_true(driver, "!document.getElementById('net').hidden")
    row = zoo.nets.row(net, named=True)
    assert driver.find_element("id", "net-title").text == f"Net {row['net']}"
    shown = told(driver)
    for name in ("dataset", "optimizer", "initialization", "batch size", "seed", "epochs"):
        assert shown[name] == str(row[name.replace(" ", "_")])
    assert float(shown["learning rate"]) == pytest.approx(row["learning_rate"], rel=1e-5)
    assert shown["augmentation"] == str(row["augmentation"]).lower()
    assert float(shown["test accuracy"]) == pytest.approx(row["test_accuracy"], abs=1e-6)
    kernels_match(driver, zoo, row["net"])
    cells = [
        [cell.text for cell in line.find_elements("css selector", "th, td")]
        for line in driver.find_elements("css selector", "#net tbody tr")
    ]
    answer = model.predict(zoo.vector(row["net"]), zoo.layout(row["net"]))
    assert [line[0] for line in cells] == ["initialization", "depth conv"]
    for line, reading in zip(cells, answer.readings.values(), strict=True):
        truth = str(row[reading.property])
        level = reading.level or "no level named"
        assert line[1].removesuffix(" ?") == level
        assert line[3] == truth
        if reading.level is not None:
            assert line[2] == f"{100 * reading.probability:.0f} %"
            assert line[4] == ("✓ right" if reading.level == truth else "✗ wrong")
        assert line[5].startswith(f"{100 * reading.accuracy:.0f} %")


def kernels_match(driver: Any, zoo: Zoo, net: str) -> None:
    """The images of the first layer are its kernels, from blue over white to orange."""
    spec = zoo.layout(net).tensors[0]
    own = zoo.vector(net)[spec.offset : spec.stop].reshape(spec.shape)
    pictures = driver.execute_script(
        "return Array.from(document.querySelectorAll('.images canvas'), (one) => "
        "Array.from(one.getContext('2d').getImageData(0, 0, one.width, one.height).data))"
    )
    assert len(pictures) == spec.shape[0]
    text = driver.find_element("xpath", "//p[contains(., 'kernels of the first layer')]").text
    most = float(re.search(r"orange is (\d\S*\d)", text)[1])
    for picture, kernel in zip(pictures, own, strict=True):
        seen = np.array(picture, float).reshape(-1, 4)
        weights = kernel.ravel() / most
        ends = np.where(weights[:, None] < 0, [[47, 110, 163]], [[196, 98, 45]])
        meant = 255 + np.abs(weights)[:, None] * (ends - 255)
        assert np.abs(seen[:, :3] - meant).max() < 3


def test_earlier_snapshots_and_the_other_map(driver: Any, found: Collected) -> None:
    before = places(driver)
    driver.execute_script(
        "const s = document.getElementById('when'); s.value = 1;s.dispatchEvent(new Event('input'))"
    )
    rows = driver.execute_script("return Array.from(weightspaceExplorer.map.rows)")
    assert rows == found.first[:-1].tolist()
    assert np.abs(places(driver) - before).max() > 20
    choose(driver, "which", "t-SNE")
    rows = np.array(driver.execute_script("return Array.from(weightspaceExplorer.map.rows)"))
    shown = places(driver)[rows >= 0]
    meant = found.tsne[rows[rows >= 0]]
    for axis in (0, 1):
        assert abs(np.corrcoef(shown[:, axis], meant[:, axis])[0, 1]) > 0.9999


def test_everything_can_be_done_with_the_keyboard(driver: Any, found: Collected) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(driver).send_keys(*keys).perform()

    reached = set()
    for _ in range(12):  # from the top of the page to the map
        press(Keys.TAB)
        reached.add(driver.switch_to.active_element.get_attribute("id"))
        if "map" in reached:
            break
    assert {"colour", "which", "when", "paths", "fit", "map"} <= reached
    press(Keys.ARROW_RIGHT)
    first = driver.execute_script("return weightspaceExplorer.state.hover")
    press(Keys.ARROW_RIGHT)
    second = driver.execute_script("return weightspaceExplorer.state.hover")
    assert places(driver)[second][0] > places(driver)[first][0]
    assert found.nets[second] in driver.find_element("id", "status").text
    press("s")
    assert selected(driver) == {found.nets[second]}
    scale = driver.execute_script("return weightspaceExplorer.map.view.scale")
    press("+")
    assert driver.execute_script("return weightspaceExplorer.map.view.scale") > scale
    before = places(driver)[first]
    ActionChains(driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_up(
        Keys.SHIFT
    ).perform()
    np.testing.assert_allclose(places(driver)[first] - before, [60, 0], atol=1e-6)
    press(Keys.ENTER)
    until_true(driver, "!document.getElementById('net').hidden")
    assert driver.switch_to.active_element.text == f"Net {found.nets[second]}"
    press(Keys.TAB, Keys.ENTER)  # the button that closes it
    until_true(driver, "document.getElementById('net').hidden")
    assert driver.switch_to.active_element.get_attribute("id") == "map"
    press(Keys.ESCAPE)
    assert selected(driver) == set()


def test_every_control_has_a_label(driver: Any) -> None:
    driver.execute_script("return weightspaceExplorer.show(0)")
    for element in driver.find_elements("css selector", "select, input, button, canvas, svg"):
        assert element.accessible_name, element.get_attribute("outerHTML")[:120]


def test_a_phone_needs_no_sideways_scrolling(page: Path) -> None:
    with chromium(390, 844) as driver:
        open_explorer(driver, page)
        driver.execute_script(
            "const e = weightspaceExplorer; e.choice.add(0); e.choice.add(1);"
            "document.getElementById('take').click(); return e.show(2)"
        )
        wide = "document.documentElement.scrollWidth"
        assert driver.execute_script(f"return [innerWidth, {wide}]") == [390, 390]
        assert complaints(driver) == []


PAN = """
const done = arguments[0], canvas = document.getElementById("map");
const map = weightspaceExplorer.map, box = canvas.getBoundingClientRect();
const fire = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
  pointerId: 1, button: 0, clientX: box.left + x, clientY: box.top + y, bubbles: true }));
(async () => {
  fire("pointerdown", 300, 300);
  for (let k = 1; k <= FRAMES; k++) {
    fire("pointermove", 300 + 4 * k, 300 + 2 * k);
    await new Promise((next) => requestAnimationFrame(next));
    map.context.getImageData(5, 5, 1, 1);  // waits until everything is drawn
  }
  fire("pointerup", 540, 420);
  done(map.view.x);
})();
"""
FRAMES = 60


def used(driver: Any) -> float:
    """Seconds of processor time that the browser with all its processes has used."""
    root = psutil.Process(driver.service.process.pid)
    return sum(sum(one.cpu_times()[:2]) for one in root.children(recursive=True))


def many(found: Collected, nets: int) -> Collected:
    """A page of so many nets: columns and details of real ones again and again, places made up."""
    whole = BLOCK * (len(found.nets) // BLOCK)
    of = np.arange(nets) % whole
    rows = np.concatenate([np.arange(found.first[i], found.first[i + 1]) for i in of])
    sizes = np.diff(found.first)[of]
    rng = np.random.default_rng(0)
    shift = np.repeat(rng.normal(0, found.plane.std(), (nets, 2)), sizes, axis=0)
    return replace(
        found,
        nets=tuple(f"{i:016x}" for i in range(nets)),
        columns=[one if one.values is None else replace(one, values=one.values[of])
                 for one in found.columns],
        first=np.concatenate([[0], np.cumsum(sizes)]),
        numbers=found.numbers[rows],
        plane=found.plane[rows] + shift,
        tsne=found.tsne[rows] + shift,
        blocks=[found.blocks[i % (whole // BLOCK)] for i in range(-(-nets // BLOCK))],
    )  # fmt: skip


def test_a_map_of_5000_nets_moves_smoothly(window: Any, found: Collected, tmp_path: Path) -> None:
    path = tmp_path / "large.html"
    path.write_text(rendered(many(found, 5000)), encoding="utf-8")
    open_explorer(window, path)
    assert path.stat().st_size < 60e6
    for paths in (False, True):
        if paths:
            window.find_element("id", "take").click()
            window.find_element("css selector", "#paths").click()
            until_true(window, "weightspaceExplorer.map.layer.view")
        pan = PAN.replace("FRAMES", str(FRAMES))
        window.execute_async_script(pan)  # the first time, the browser compiles the script
        x, before = window.execute_script("return weightspaceExplorer.map.view.x"), used(window)
        assert window.execute_async_script(pan) == pytest.approx(x + 4 * (FRAMES - 1), abs=5)
        # Time of the processor, as other programs may use it: on a machine of one core that has
        # nothing else to do, a frame takes as long.
        took = 1000 * (used(window) - before) / FRAMES
        assert took < 100, f"{took:.0f} ms, paths {paths}"
    window.execute_async_script("weightspaceExplorer.show(4321).then(arguments[0])")
    assert window.find_element("id", "net-title").text == f"Net {4321:016x}"
    assert complaints(window) == []
