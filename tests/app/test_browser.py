"""The app in a real browser: what visitors do, what they see, and what they cannot do."""

from __future__ import annotations

import json
import os
import pickle
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors.numpy import save_file

from support.app_server import Server, app, needed, tab, token_free
from support.chromium import PATIENCE, until

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
CARD = "optimizer: adam\nbatch_norm: false\nclasses: 10\n"
LARGEST = 40  # MB

# What Gradio's own elements break. Anything else fails the test.
OF_GRADIO = {
    # The place to drop files is a button whose text is not in its name.
    "label-content-name-mismatch": 'aria-label="Click to upload or drop files"',
}


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    needed()


@pytest.fixture(scope="module")
def server(installed, tmp_path_factory):
    with app(tmp_path_factory.mktemp("app"), "--max-upload", str(LARGEST)) as running:
        yield running


@pytest.fixture(scope="module")
def window(server: Server):
    with tab(server.url) as opened:
        yield opened


@pytest.fixture
def page(window):
    """The page as a new visitor sees it."""
    window.again()
    yield window
    assert window.complaints() == []
    assert window.foreign_requests() == []


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Files to drop: good ones, a bad one, one that executes something, a large one."""
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, folder / "sgd.pt")
    torch.save(net.half().state_dict(), folder / "half.pt")
    torch.save(torch.nn.Linear(8, 3).state_dict(), folder / "other.pt")
    (folder / "bad.pt").write_bytes(b"no checkpoint at all")
    (folder / "large.pt").write_bytes(b"\0" * (LARGEST + 1) * 2**20)
    (folder / "README.md").write_text(
        "# A net\n\n## Training details\n\n- optimizer: Adam\n", encoding="utf-8"
    )
    generator = np.random.default_rng(0)
    values = {f"{i}.weight": generator.standard_normal((512, 512), np.float32) for i in range(30)}
    save_file(values, folder / "slow.safetensors")
    return folder


def run(page, *paths: Path, text: str = "") -> str:
    """Drop files, press the button, and wait for the answer."""
    labels = ["Checkpoint"] if len(paths) < 2 else ["Checkpoint A", "Checkpoint B"]
    for label, path in zip(labels, paths, strict=False):
        page.drop(path, label)
        until(lambda path=path: path.name.split(".")[0] in page.driver.page_source, path.name)
    if text:
        page.write("Card", text)
    page.all("button.primary")[0].click()
    until(lambda: page.all("iframe.page") or page.all(".failure"), "answer")
    return page.line()


def test_a_dropped_file_gives_verdicts_and_is_removed(server, page, files):
    assert "1 of 3 claims is contradicted: optimizer adam" in run(page, files / "sgd.pt", text=CARD)
    assert page.verdicts() == {
        "optimizer": "contradicted",
        "batch norm": "consistent",
        "classes": "consistent",
    }
    text = page.frame_text()
    assert "the file holds the state of SGD" in text
    assert token_free(text)
    until(lambda: server.files() == [], "removal")
    assert until(lambda: not server.workers(), "end of the worker")


def test_a_card_that_is_dropped_fills_the_field(page, files):
    page.drop(files / "README.md", "or drop the card")
    field = page.all("textarea")[-1]
    until(lambda: "optimizer: Adam" in field.get_attribute("value"), "card")
    assert "contradicted: optimizer adam" in run(page, files / "sgd.pt")


@pytest.mark.parametrize(
    ("example", "line", "verdicts"),
    [
        ("A card that is true", "No claim is contradicted", {"consistent", "undecidable"}),
        ("A card that is false", "contradicted: optimizer momentum",
         {"contradicted", "consistent", "undecidable"}),
        ("A card that cannot be decided", "None of 7 claims can be decided", {"undecidable"}),
    ],
)  # fmt: skip
def test_the_examples(page, example, line, verdicts):
    page.button(example).click()
    assert set(page.verdicts().values()) == verdicts
    assert line in page.line()


def test_more_tries_seeds_and_compares_with_images(page, tmp_path):
    torch.manual_seed(4321)
    layers = (torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    torch.save(torch.nn.Sequential(*layers).state_dict(), tmp_path / "start.pt")
    run(page, tmp_path / "start.pt")
    assert "4321" not in page.frame_text()
    page.again()
    page.all("button.label-wrap")[0].click()
    page.write("Seeds to try", "5000")
    assert "4321" not in page.line()
    run(page, tmp_path / "start.pt")
    assert "4321" in page.frame_text()
    page.again()
    page.button("A card that is true").click()
    without = page.frame_text()
    address = "return document.querySelector('a.page')?.href"
    first = page.driver.execute_script(address)
    page.all("button.label-wrap")[0].click()
    until(lambda: page.all("input[role=combobox]"), "menu")[0].click()
    pick = "[...document.querySelectorAll('[role=option]')].find((e) => e.innerText === 'digits')"
    until(lambda: page.driver.execute_script(f"return {pick}"), "list").click()
    page.all("button.primary")[0].click()
    until(lambda: page.driver.execute_script(address) not in (first, None, ""), "another page")
    assert page.frame_text() != without


def test_the_page_and_the_json_can_be_saved(server, files, tmp_path):
    with tab(server.url, **{"download.default_directory": str(tmp_path)}) as page:
        run(page, files / "sgd.pt", text=CARD)
        for link in page.all(".save a"):
            link.click()
        saved, document = tmp_path / "audit.html", tmp_path / "audit.json"
        until(lambda: saved.exists() and document.exists(), "saved files")
    (found,) = json.loads(document.read_text())
    assert found["file"] == "sgd.pt"
    assert [one["verdict"] for one in found["verdicts"]].count("contradicted") == 1
    text = saved.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert token_free(text)
    assert token_free(document.read_text())


def test_two_files_are_compared(server, page, files):
    page.button("Compare").click()
    line = run(page, files / "sgd.pt", files / "half.pt")
    assert line.startswith("Same weights.")
    text = page.frame_text()
    assert "rounded to float16" in text
    assert token_free(text)
    until(lambda: server.files() == [], "removal")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/etc/passwd", "/etc/passwd: is no name of a model on the hub; write hf://OWNER/NAME"),
        ("https://example.org/a.pt", "is no name of a model on the hub"),
        ("hf://a/../b", "is no name of a model on the hub"),
        ("example://none", "example://none: is none; there are true, false, open, zoo"),
        ("", "file: none is given; drop one, or write hf://OWNER/NAME"),
    ],
)
def test_a_name_that_is_none_gives_one_line(page, name, said):
    page.write("or its name", name)
    assert said in run(page)
    assert "\n" not in page.line()


def test_a_bad_file_or_card_gives_one_line(server, page, files):
    line = run(page, files / "bad.pt")
    assert line.startswith("bad.pt: ")
    assert "\n" not in line
    assert token_free(line)
    until(lambda: server.files() == [], "removal")
    page.again()
    line = run(page, files / "sgd.pt", text="optimizer: adam\nlr: fast")
    assert line == "card:2: learning_rate: 'fast' is not a positive number"
    page.write("Card", CARD)  # the file is still there, and need not be dropped again
    page.all("button.primary")[0].click()
    until(lambda: "contradicted: optimizer adam" in page.line(), "answer")
    until(lambda: server.files() == [], "removal")


class Hostile:
    """Pickled, it makes a folder where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_hostile_file_is_not_executed(server, page, tmp_path):
    mark, other = tmp_path / "executed", tmp_path / "imported"
    content = {"net": {"0.weight": torch.randn(3, 4)}, "x": Hostile(mark)}
    torch.save(content, tmp_path / "hostile.pt")
    run(page, tmp_path / "hostile.pt")
    assert "hostile: names `posix.mkdir`: hostile; nothing was run" in page.frame_text()
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Hostile(mark)))
    page.again()
    assert "plain.pkl: " in run(page, tmp_path / "plain.pkl")
    # A module of the name of one that a worker imports later.
    for name in ("matplotlib.py", "scipy.py", "json.py", "yaml.py"):
        (tmp_path / name).write_text(f"open({str(other)!r}, 'w')", encoding="utf-8")
        page.again()
        assert f"{name}: " in run(page, tmp_path / name)
    assert not mark.exists()
    assert not other.exists()
    until(lambda: server.files() == [], "removal")


def test_a_file_that_is_too_large_gives_one_line(server, files):
    with tab(server.url) as page:
        page.drop(files / "large.pt")
        said = f'File(s) exceed the maximum allowed size of {LARGEST}.0 Mb: "large.pt"'
        until(lambda: said in page.said(".toast-body"), "line")
        until(lambda: server.files() == [], "removal")


def test_two_visitors_do_not_mix(server, files):
    with tab(server.url) as one, tab(server.url) as other:
        one.drop(files / "sgd.pt")
        other.drop(files / "sgd.pt")
        one.write("Card", "optimizer: adam")
        other.write("Card", "optimizer: sgd\nclasses: 10\nmomentum: 0")
        until(lambda: len(server.files()) == 2, "both files")
        for page in (one, other):
            page.all("button.primary")[0].click()
        assert one.verdicts() == {"optimizer": "contradicted"}
        assert set(other.verdicts().values()) == {"consistent"}
        assert len(other.verdicts()) == 3
    until(lambda: server.files() == [], "removal")


def held(server: Server, page) -> psutil.Process:
    """Start an audit, and stop its worker after a step, as if it took very long."""
    page.all("button.primary")[0].click()
    worker = until(server.workers, "worker")[0]
    until(lambda: "laws of training" in page.line() or page.all(".result p"), "step")
    worker.suspend()
    assert page.all(".status progress")
    return worker


def test_an_audit_shows_how_far_it_is_and_can_be_cancelled(server, page, files):
    page.drop(files / "slow.safetensors")
    until(lambda: server.files(), "file")
    worker = held(server, page)
    page.button("Cancel").click()
    until(lambda: "cancelled" in page.line(), "line")
    until(lambda: not worker.is_running(), "end of the worker")
    until(lambda: server.files() == [], "removal")
    assert page.all("iframe.page") == []
    page.again()
    assert "contradicted: optimizer adam" in run(page, files / "sgd.pt", text=CARD)


def test_an_audit_ends_with_the_tab_or_the_server(files, tmp_path):
    with app(tmp_path) as server:
        with tab(server.url) as page:
            page.drop(files / "slow.safetensors")
            until(lambda: server.files(), "file")
            worker = held(server, page)
        until(lambda: not worker.is_running(), "end of the worker, whose tab is closed")
        until(lambda: server.files() == [], "removal")
        with tab(server.url) as page:
            page.drop(files / "slow.safetensors")
            until(lambda: server.files(), "file")
            worker = held(server, page)
            worker.resume()
            server.process.kill()
            server.process.wait()
            until(lambda: not worker.is_running(), "end of the worker, whose server was killed")


def test_the_server_ends_at_once_and_its_audits_with_it(files, tmp_path):
    with app(tmp_path) as server, tab(server.url) as page:
        page.drop(files / "slow.safetensors")
        until(lambda: server.files(), "file")
        worker = held(server, page)
        asked = time.monotonic()
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 143
        assert time.monotonic() - asked < 5  # one second on a machine that does nothing else
        assert not worker.is_running()
        assert list(server.temporary.iterdir()) == []
        assert server.log.read_text().count("\n") == 1


def test_an_audit_that_takes_too_long_is_ended(files, tmp_path):
    with app(tmp_path, "--max-time", "5") as server, tab(server.url) as page:
        page.drop(files / "slow.safetensors")
        until(lambda: server.files(), "file")
        page.all("button.primary")[0].click()
        worker = until(server.workers, "worker")[0]
        worker.suspend()
        until(lambda: "it took more than 5 seconds" in page.line(), "line")
        assert not worker.is_running()
        until(lambda: server.files() == [], "removal")


def test_a_phone_scrolls_only_down(server, files):
    with tab(server.url, 390) as page:
        assert page.broad() == 0
        run(page, files / "sgd.pt", text=CARD)
        assert page.verdicts()["optimizer"] == "contradicted"
        assert page.broad() == 0
        assert page.complaints() == []


def test_the_keyboard_is_enough(page):
    from selenium.webdriver.common.keys import Keys

    for _ in range(40):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        if page.driver.switch_to.active_element.text == "A card that is false":
            break
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert page.verdicts()["optimizer"] == "contradicted"
    status = next(one for one in page.all("[role=status]") if one.text)
    assert "contradicted" in status.text
    for _ in range(12):  # on from the button, into the page in its frame
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        if page.driver.switch_to.active_element.tag_name == "iframe":
            break
    assert page.driver.switch_to.active_element.tag_name == "iframe"


def test_links_in_the_result_lead_to_its_parts(page):
    page.button("A card that is false").click()
    page.verdicts()
    frame = page.all("iframe.page")[0]
    page.driver.switch_to.frame(frame)
    next(one for one in page.all(".jumps a") if one.text == "Facts").click()
    until(lambda: page.driver.execute_script("return location.hash") == "#facts", "jump")
    assert page.all(".verdicts")
    page.driver.switch_to.default_content()
    until(lambda: page.driver.execute_script("return scrollY") > 500, "scrolling")


def test_axe_finds_nothing_but_what_gradio_breaks(server, tmp_path):
    with tab(server.url, **{"download.default_directory": str(tmp_path)}) as page:
        found = [page.violations()]
        page.button("A card that is false").click()
        page.verdicts()
        found.append(page.violations())
        page.all("a.page[href]")[0].click()
        until((tmp_path / "audit.html").exists, "saved page")
        page.button("Compare").click()
        found.append(page.violations())
        page.driver.get((tmp_path / "audit.html").as_uri())
        found.append(page.violations())
    ours = [
        (rule, element)
        for one in found
        for rule, elements in one.items()
        for element in elements
        if OF_GRADIO.get(rule, "\0") not in element
    ]
    assert ours == []
