"""Chromium without a window: driven by selenium, or asked once for what it makes of a page."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 300  # seconds, also on a machine that does other things
_QUIET = (
    *("no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-first-run"),
    *("disable-background-networking", "disable-component-update", "disable-sync", "disable-quic"),
)
T = TypeVar("T")


def needed() -> None:
    """Skip a test, with a message, where something is not installed."""
    pytest.importorskip("selenium", reason="needs selenium; docs/tests.md says how")
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromedriver; docs/tests.md says how")


@contextmanager
def chromium(
    width: int, height: int = 1200, *, dark: bool = False, **preferences: Any
) -> Iterator[Any]:
    """Selenium's driver of a window of this size until the block ends; a narrow one is a phone."""
    needed()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for one in ("headless=new", f"window-size={width},{height}", *_QUIET):
        options.add_argument(f"--{one}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.add_experimental_option("prefs", preferences)
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        driver.set_script_timeout(PATIENCE)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        if dark:
            scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        yield driver
    finally:
        driver.quit()


def until(look: Callable[[], T], what: str = "") -> T:
    """What `look` gives as soon as it is true; an error if that takes too long."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < end, f"in {PATIENCE} s there is no {what or look}"
        time.sleep(0.03)
    return found


def until_true(driver: Any, condition: str) -> Any:
    """Wait until an expression of JavaScript is true; its value."""
    return until(lambda: driver.execute_script(f"return {condition}"), condition)


def open_explorer(driver: Any, path: Path) -> None:
    """Open the page of an explorer from its file, and wait until its script has run."""
    driver.get(path.as_uri())
    assert until_true(driver, "document.documentElement.dataset.state") == "ready"


def complaints(driver: Any) -> list[str]:
    """What the browser's console says of errors since it was asked last."""
    return [one["message"] for one in driver.get_log("browser") if one["level"] == "SEVERE"]


def broad(driver: Any) -> int:
    """By how many pixels the page is wider than the window."""
    size = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    return int(driver.execute_script(size))


def violations(driver: Any) -> Mapping[str, list[str]]:
    """What axe finds in a page, or in the frame that is chosen: elements, by rules."""
    if not AXE.exists():
        pytest.skip("npm install --no-save axe-core@4.14.1 brings axe, which this test runs")
    driver.execute_script(AXE.read_text(encoding="utf-8"))
    run = "const done = arguments[0]; axe.run({iframes: false}).then(done)"
    found = driver.execute_async_script(run)["violations"]
    return {one["id"]: [node["html"] for node in one["nodes"]] for one in found}


def browse(text: str, folder: Path) -> tuple[str, str]:
    """The page's elements after its scripts ran, and what the browser logged."""
    if CHROMIUM is None:
        pytest.skip("needs chromium, which is not installed here")
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    options = (
        *("headless", "enable-logging=stderr", "v=0", "virtual-time-budget=20000"),
        *("window-size=1200,3000", "dump-dom", f"user-data-dir={folder / 'profile'}", *_QUIET),
    )
    run = subprocess.run(
        [CHROMIUM, *(f"--{one}" for one in options), path.as_uri()],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    console = "\n".join(line for line in run.stderr.splitlines() if "CONSOLE" in line)
    return run.stdout, console
