"""A server of the app, and a browser that looks at it, for slow tests."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from support.pages import CHROMIUM

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WHY = "pip install -e '.[browser]' brings {}, with which this test looks at the app"
PATIENCE = 300  # seconds, also on a machine that does other things
T = TypeVar("T")


def needed() -> None:
    """Skip a test, with a message, where something is not installed."""
    for package in ("gradio", "selenium"):
        pytest.importorskip(package, reason=WHY.format(package))
    if CHROMIUM is None:
        pytest.skip("needs chromium and chromedriver; docs/tests.md says how")


def until(look: Callable[[], T], what: str = "") -> T:
    """What `look` gives as soon as it is true; an error if that takes too long."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < end, f"in {PATIENCE} s there is no {what or look}"
        time.sleep(0.05)
    return found


@dataclass
class Server:
    """A running app."""

    process: subprocess.Popen[str]
    url: str
    temporary: Path
    log: Path

    def workers(self) -> list[psutil.Process]:
        """The processes of its audits."""
        return [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
        ]

    def files(self) -> list[Path]:
        """The files of visitors that it keeps."""
        return [
            path
            for folder in self.temporary.glob("weightspace-app-*/*")
            if folder.name in ("uploads", "jobs")
            for path in folder.rglob("*")
            if path.is_file()
        ]


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def serving(
    folder: Path, command: list[str], port: int, cwd: Path = ROOT, **more: str
) -> Iterator[Server]:
    """A server that is started by a command, until the block ends."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    log = folder / "log.txt"
    path = os.pathsep.join(str(Path(one).absolute()) for one in sys.path if one)
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": path, **more}
    with (
        log.open("w") as out,
        subprocess.Popen(
            command, cwd=cwd, env=environment, text=True, stdout=out, stderr=out
        ) as process,
    ):
        try:
            until(lambda: process.poll() is not None or "Ctrl-C" in log.read_text(), "server")
            assert process.poll() is None, log.read_text()
            yield Server(process, f"http://127.0.0.1:{port}/", temporary, log)
        finally:
            process.terminate()
            process.wait(PATIENCE)


@contextmanager
def app(folder: Path, *options: str) -> Iterator[Server]:
    """`weightspace app` with these options."""
    port = free_port()
    command = [sys.executable, "-m", "weightspace", "app", "--port", str(port), *options]
    with serving(folder, command, port) as server:
        yield server


class Tab:
    """A window of Chromium with the app in it."""

    def __init__(self, url: str, width: int = 1440, height: int = 1200, **preferences: Any) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for one in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
            options.add_argument(f"--{one}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        options.add_experimental_option("prefs", preferences)
        self.driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
        self.driver.set_script_timeout(PATIENCE)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.url = url
        self.again()

    def again(self) -> None:
        """Open the app, as a new visitor."""
        self.driver.get("about:blank")  # leaving the page breaks off its requests, which is logged
        self.driver.get_log("browser")
        self.driver.get(self.url)
        until(lambda: self.all("button.primary"), "page")

    def close(self) -> None:
        """Close the window."""
        self.driver.quit()

    def all(self, css: str) -> list[Any]:
        """The elements of a selector that can be seen."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.common.by import By

        try:
            found = self.driver.find_elements(By.CSS_SELECTOR, css)
            return [one for one in found if one.is_displayed()]
        except StaleElementReferenceException:
            return []

    def button(self, text: str) -> Any:
        """The button with this text."""
        return until(
            lambda: next((one for one in self.all("button") if text == one.text.strip()), None),
            text,
        )

    def drop(self, path: Path, label: str = "Checkpoint") -> None:
        """Give a file to the place whose label begins with these words."""
        script = (
            "const label = [...document.querySelectorAll('label[data-testid=block-label]')]"
            ".find((one) => one.offsetParent && one.innerText.trim().startsWith(arguments[0]));"
            "return label?.closest('.block')?.querySelector('input[type=file]')"
        )
        place = until(lambda: self.driver.execute_script(script, label), label)
        place.send_keys(str(path))

    def said(self, css: str) -> str:
        """The text of all elements of a selector, as one."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        return " ".join(self.driver.execute_script(script, css)).strip()

    def write(self, label: str, text: str) -> None:
        """Write into the field of a label."""
        field = next(
            one
            for one in self.all("textarea, input")
            if one.accessible_name.startswith(label) and one.is_displayed()
        )
        field.clear()
        field.send_keys(text)

    def line(self) -> str:
        """The line on how far the audit is, and what it found."""
        return self.said(".status p")

    def verdicts(self) -> dict[str, str]:
        """The verdicts by the names of claims, from the page in its frame."""
        frame = until(lambda: self.all("iframe.page"), "result")[0]
        self.driver.switch_to.frame(frame)
        try:
            until(lambda: self.all("footer"), "page in the frame")
            return {
                row.find_element("css selector", ".claim").text: row.find_element(
                    "css selector", ".word b"
                ).text.split()[-1]
                for row in self.all(".verdicts tbody tr")
            }
        finally:
            self.driver.switch_to.default_content()

    def frame_text(self) -> str:
        """The text of the page in its frame."""
        frame = until(lambda: self.all("iframe.page"), "result")[0]
        self.driver.switch_to.frame(frame)
        try:
            until(lambda: self.all("footer"), "page in the frame")
            return str(self.all("body")[0].text)
        finally:
            self.driver.switch_to.default_content()

    def complaints(self) -> list[str]:
        """The errors that the browser wrote on its console."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def foreign_requests(self) -> list[str]:
        """Addresses of other servers that the page asked for."""
        asked = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        urls = [
            one["params"]["request"]["url"]
            for one in asked
            if one["method"] == "Network.requestWillBeSent"
        ]
        own = (self.url, "data:", f"blob:{self.url}", "chrome:")
        return [url for url in urls if not url.startswith(own)]

    def broad(self) -> int:
        """By how many pixels the page is wider than the window."""
        size = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
        return int(self.driver.execute_script(size))

    def saved(self) -> str:
        """The page of the result, as its link saves it."""
        address = until(lambda: self.all("a.page"), "result")[0].get_attribute("href")
        return base64.b64decode(address.partition(",")[2]).decode()

    def violations(self) -> Mapping[str, list[str]]:
        """What axe finds in the page: elements, by rules. It cannot run in the result's frame."""
        if not AXE.exists():
            pytest.skip("npm install --no-save axe-core brings axe, which this test runs")
        self.driver.execute_script(AXE.read_text(encoding="utf-8"))
        run = "const done = arguments[0]; axe.run({iframes: false}).then(done)"
        found: dict[str, list[str]] = {}
        for one in self.driver.execute_async_script(run)["violations"]:
            found[one["id"]] = [node["html"] for node in one["nodes"]]
        return found


@contextmanager
def tab(url: str, width: int = 1440, **preferences: Any) -> Iterator[Tab]:
    """A tab until the block ends."""
    opened = Tab(url, width, **preferences)
    try:
        yield opened
    finally:
        opened.close()


def token_free(text: str) -> bool:
    """Whether a text shows no place on the server's disk."""
    return not re.search(r"weightspace-app-|/uploads/|/jobs/", text)
