"""A server of the app, and a window of Chromium that looks at it, for slow tests."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from support import chromium
from support.chromium import PATIENCE, until

ROOT = Path(__file__).parents[2]


def needed() -> None:
    """Skip a test, with a message, where something is not installed."""
    pytest.importorskip("gradio", reason="needs the extra `app`; docs/tests.md says how")
    chromium.needed()


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

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        self.url = url
        self.again()

    def again(self) -> None:
        """Open the app, as a new visitor."""
        self.driver.get("about:blank")  # leaving the page breaks off its requests, which is logged
        self.driver.get_log("browser")
        self.driver.get(self.url)
        until(lambda: self.all("button.primary"), "page")

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
        field = until(
            lambda: next(
                (o for o in self.all("textarea, input") if o.accessible_name.startswith(label)),
                None,
            ),
            label,
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
        return chromium.complaints(self.driver)

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
        return chromium.broad(self.driver)

    def violations(self) -> Mapping[str, list[str]]:
        """What axe finds in the page, which cannot see into the result's frame."""
        return chromium.violations(self.driver)


@contextmanager
def tab(url: str, width: int = 1440, *, dark: bool = False, **preferences: Any) -> Iterator[Tab]:
    """A tab with the app until the block ends; a narrow one is a phone."""
    with chromium.chromium(width, dark=dark, **preferences) as driver:
        yield Tab(driver, url)


def token_free(text: str) -> bool:
    """Whether a text shows no place on the server's disk."""
    return not re.search(r"weightspace-app-|/uploads/|/jobs/", text)
