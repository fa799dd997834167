"""The explorer in the app: a zoo that is dropped as an archive, in a real browser."""

from __future__ import annotations

import io
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.app_server import Server, Tab, app, needed, tab, token_free
from support.chromium import complaints, open_explorer, until, until_true, violations
from support.populations import synthetic_zoo
from weightspace.app.examples import ZOO, file_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
EXECUTED = "executed"  # a file that code in an archive would make
LARGEST = 25  # MB
EXAMPLE = "A zoo of 48 nets"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    needed()
    with app(tmp_path_factory.mktemp("app"), "--max-upload", str(LARGEST)) as running:
        yield running


@pytest.fixture(scope="module")
def window(server: Server) -> Iterator[Tab]:
    with tab(server.url) as opened:
        yield opened


@pytest.fixture
def page(server: Server, window: Tab) -> Iterator[Tab]:
    """The tab as a new visitor sees it."""
    window.again()
    window.button("Explore").click()
    yield window
    assert window.complaints() == []
    assert window.foreign_requests() == []
    until(lambda: not server.files(), "removal of all files")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives to drop: of a good zoo, of a damaged one, of none, and one that unpacks to much."""
    folder = tmp_path_factory.mktemp("files")
    zoo = synthetic_zoo(folder / "zoo", nets=130)
    with tarfile.open(folder / "packed.tar.gz", "w:gz") as archive:
        archive.add(folder / "zoo", "some/zoo")
    assert zoo.nets.height == 130
    with zipfile.ZipFile(io.BytesIO(file_of(ZOO)[1])) as read:
        content = {name: read.read(name) for name in read.namelist()}
    table = next(name for name in content if "/nets/" in name)
    code = f"open({str(folder / EXECUTED)!r}, 'w')".encode()
    archives: dict[str, dict[str, bytes]] = {
        "damaged": {**content, table: content[table][:-100]},
        "nothing": {"README.md": b"no zoo"},
        "outside": {**content, "../../outside": b"x"},
        "bomb": {**content, "digits/more": bytes(2 * LARGEST * 2**20)},
        "hostile": {
            **content,
            "sitecustomize.py": code,
            "polars.py": code,
        },
    }
    for name, held in archives.items():
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for path, data in held.items():
                packed.writestr(path, data)
    (folder / "text.zip").write_bytes(b"no archive")
    return folder


def run(page: Tab, path: Path | None = None) -> str:
    """Drop an archive, or take the example, and wait for the answer."""
    before = page.line()
    if path is None:
        page.button(EXAMPLE).click()
    else:
        page.drop(path, "Zoo")
        until(lambda: path.name.split(".")[0] in page.driver.page_source, path.name)
        page.all("button.primary")[0].click()
    until(lambda: page.line() != before, "new line")
    until(lambda: page.all("iframe.page") or page.all(".failure"), "answer")
    return page.line()


@contextmanager
def explorer(page: Tab) -> Iterator[Any]:
    """The driver inside of the frame, when the map is drawn."""
    page.driver.switch_to.frame(until(lambda: page.all("iframe.page"), "result")[0])
    try:
        until_true(page.driver, "document.documentElement.dataset.state === 'ready'")
        yield page.driver
    finally:
        page.driver.switch_to.default_content()


def test_the_example(page: Tab) -> None:
    assert run(page) == "48 nets of the space digits"
    with explorer(page) as driver:
        assert len(driver.execute_script("return weightspaceExplorer.world.nets")) == 48
        driver.find_element("css selector", "#list button").click()
        until_true(driver, "document.querySelectorAll('.images canvas').length === 4")
        driver.find_element("id", "take").click()
        assert driver.find_element("id", "counts").text == "48 nets, 48 selected"
        drawn = (
            "const c = document.getElementById('map'), x = c.getContext('2d');"
            "return new Set(x.getImageData(0, 0, c.width, c.height).data).size"
        )
        assert driver.execute_script(drawn) > 20


def test_the_page_has_no_part_in_the_app(page: Tab) -> None:
    """A zoo of a stranger could not reach the app or a server even if its page ran its text."""
    run(page)
    with explorer(page) as driver:
        assert driver.execute_script("return origin") == "null"
        reach = "try { return parent.document.title } catch (error) { return error.name }"
        assert driver.execute_script(reach) == "SecurityError"
        ask = "fetch('/config').then(() => 'asked', () => 'refused').then(arguments[0])"
        assert driver.execute_async_script(ask) == "refused"
        inline = (
            "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
            "document.body.append(s); return window.ran"
        )
        assert driver.execute_script(inline) is None
    page.driver.get_log("browser")  # it tells what was refused


def test_a_dropped_zoo_is_shown_and_removed(server: Server, page: Tab, files: Path) -> None:
    assert run(page, files / "packed.tar.gz").startswith("130 nets of the space ")
    with explorer(page) as driver:
        assert driver.find_element("id", "counts").text == "130 nets, 0 selected"
        assert token_free(driver.page_source)
    until(lambda: not server.files(), "removal")
    until(lambda: not server.workers(), "end of the worker")
    assert page.all("a.page")[0].text == "Save the page"
    assert [one.text for one in page.all(".save a")] == ["Save the page"]  # there is no JSON


def test_the_page_can_be_saved_and_opens_from_its_file(server: Server, tmp_path: Path) -> None:
    with tab(server.url, **{"download.default_directory": str(tmp_path)}) as page:
        page.button("Explore").click()
        run(page)
        page.all("a.page[href]")[0].click()
        saved = tmp_path / "explore.html"
        until(saved.exists, "saved page")
        open_explorer(page.driver, saved)
        assert len(page.driver.execute_script("return weightspaceExplorer.world.nets")) == 48
        assert complaints(page.driver) == []
    assert token_free(saved.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("text", "archive: is no whole .zip, .tar or .tar.gz (ReadError); pack the folder"),
        ("nothing", "archive: no zoo.json is in it, so it holds no zoo; pack the folder"),
        ("outside", "archive: ../../outside in it would lead out of its folder; pack the folder"),
        (
            "bomb",
            f"archive: its files have more than {LARGEST} MB together; use `weightspace explore`",
        ),
        ("damaged", "unpacked/digits/nets/"),
    ],
)
def test_a_bad_archive_gives_one_line(
    server: Server, page: Tab, files: Path, name: str, said: str
) -> None:
    line = run(page, files / f"{name}.zip")
    assert line.startswith(said)
    assert "\n" not in line
    assert token_free(line)
    assert page.all("iframe.page") == []


def test_nothing_in_an_archive_is_executed(page: Tab, files: Path) -> None:
    assert run(page, files / "hostile.zip") == "48 nets of the space digits"
    assert not (files / EXECUTED).exists()


def test_nothing_dropped_gives_one_line(page: Tab) -> None:
    page.all("button.primary")[0].click()
    said = "zoo: none is given; drop its archive, or try the example"
    until(lambda: page.line() == said, said)


def test_it_shows_how_far_it_is_and_can_be_cancelled(server: Server, page: Tab) -> None:
    page.button(EXAMPLE).click()
    worker = until(server.workers, "worker")[0]
    until(lambda: page.all(".status progress") or page.all("iframe.page"), "step")
    worker.suspend()
    assert page.all(".status progress")
    page.button("Cancel").click()
    until(lambda: "cancelled" in page.line(), "line")
    until(lambda: not worker.is_running(), "end of the worker")
    assert page.all("iframe.page") == []
    assert run(page) == "48 nets of the space digits"


def test_one_result_follows_another(server: Server, page: Tab, files: Path) -> None:
    run(page)
    page.drop(files / "text.zip", "Zoo")
    until(lambda: server.files(), "file")
    page.all("button.primary")[0].click()
    until(lambda: "archive: " in page.line(), "line")
    until(lambda: not page.all("iframe.page"), "removal of the first page")
    assert run(page).startswith("48 nets")
    with explorer(page) as driver:
        assert driver.find_element("id", "counts").text == "48 nets, 0 selected"


def test_a_phone_scrolls_only_down(server: Server) -> None:
    with tab(server.url, 390) as page:
        page.button("Explore").click()
        run(page)
        with explorer(page) as driver:
            driver.find_element("css selector", "#list button").click()
            until_true(driver, "!document.getElementById('net').hidden")
            wide = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
            assert driver.execute_script(wide) == 0
        assert page.broad() == 0
        assert page.complaints() == []


def test_the_keyboard_is_enough(page: Tab) -> None:
    from selenium.webdriver.common.keys import Keys

    def press_until(found: Any) -> None:
        for _ in range(40):
            page.driver.switch_to.active_element.send_keys(Keys.TAB)
            if found(page.driver.switch_to.active_element):
                return
        raise AssertionError(found)

    press_until(lambda one: one.text == EXAMPLE)
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    with explorer(page):
        pass
    status = next(one for one in page.all("[role=status]") if one.text)
    assert status.text == "48 nets of the space digits"
    press_until(lambda one: one.text == "Save the page")
    press_until(lambda one: one.text == "Whole screen")
    press_until(lambda one: one.tag_name == "iframe")


def test_the_whole_screen(page: Tab) -> None:
    run(page)
    page.button("Whole screen").click()
    until_true(page.driver, "document.fullscreenElement?.matches('iframe.explore')")
    page.driver.execute_script("return document.exitFullscreen()")


def test_axe_finds_nothing_but_what_gradio_breaks(page: Tab) -> None:
    before = page.violations()
    run(page)
    with explorer(page) as driver:
        driver.find_element("css selector", "#list button").click()
        until_true(driver, "!document.getElementById('net').hidden")
        time.sleep(0.3)
        inside = violations(driver)
    page.driver.get_log("browser")  # axe asks for style sheets
    gradio = 'aria-label="Click to upload or drop files"'
    for found in (before, page.violations()):
        assert set(found) <= {"label-content-name-mismatch"}
        assert all(gradio in one for elements in found.values() for one in elements)
    assert inside == {}
