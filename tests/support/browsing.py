"""A real browser without a window, driven by selenium."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
_WAIT = 60  # seconds


@contextmanager
def browser(width: int, height: int, phone: bool = False) -> Iterator[Any]:
    """Chromium with a window of this size, or a phone; skips where something is not installed."""
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="needs selenium; see docs/tests.md"
    )
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromedriver; see docs/tests.md")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless=new", "no-sandbox", "disable-gpu", f"window-size={width},{height}",
                 "no-first-run", "disable-background-networking"):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        if phone:
            metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield driver
    finally:
        driver.quit()


def opened(driver: Any, path: Path) -> None:
    """Open a page from its file, and wait until its script has run."""
    driver.get(path.as_uri())
    until(driver, "document.documentElement.dataset.state")
    assert driver.execute_script("return document.documentElement.dataset.state") == "ready"


def until(driver: Any, condition: str) -> Any:
    """Wait until an expression of JavaScript is true; its value."""
    end = time.monotonic() + _WAIT
    while not (found := driver.execute_script(f"return {condition}")):
        assert time.monotonic() < end, f"{condition} did not come true"
        time.sleep(0.02)
    return found


def complaints(driver: Any) -> list[str]:
    """What the browser's console says of errors since it was asked last."""
    return [one["message"] for one in driver.get_log("browser") if one["level"] == "SEVERE"]
