"""The explorer as a widget, in JupyterLab and a real browser."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.chromium import chromium, until, until_true
from support.populations import synthetic_zoo

pytestmark = pytest.mark.slow
SOURCE = Path(__file__).parents[2] / "src"
CELLS = (
    "import weightspace as ws\nexplorer = ws.Explorer('zoo', height=700)\nexplorer",
    "print('selected', explorer.selected)",
    "explorer.selected = list(explorer.zoo.nets['net'][3:5])",
)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """JupyterLab with a notebook that is open at this address."""
    for package in ("jupyterlab", "anywidget"):
        pytest.importorskip(package, reason=f"needs {package}; see docs/tests.md")
    synthetic_zoo(tmp_path / "zoo", nets=8)
    cells = [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "execution_count": None,
         "outputs": [], "source": source}
        for i, source in enumerate(CELLS)
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "book.ipynb").write_text(json.dumps(book), encoding="utf-8")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root",
               "--IdentityProvider.token=", "--ServerApp.port_retries=0"]  # fmt: skip
    paths = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | home | {"PYTHONPATH": paths}, stdout=log,
            stderr=log,
        )  # fmt: skip
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/lab/tree/book.ipynb?reset"
    finally:
        server.terminate()
        server.wait(30)


def run_cell(driver: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(driver).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()


def in_frame(driver: Any, script: str) -> Any:
    """The value of a script in the frame of the explorer."""
    driver.switch_to.frame(driver.find_element("css selector", "iframe[title^=Explorer]"))
    try:
        return driver.execute_script(script)
    finally:
        driver.switch_to.default_content()


def wait_in_frame(driver: Any, condition: str) -> None:
    until(lambda: in_frame(driver, f"return {condition}"), condition)


def test_the_selection_goes_both_ways(address: str) -> None:
    with chromium(1200, 1400) as driver:
        driver.get(address)
        until_true(driver, "document.querySelectorAll('.jp-CodeCell .cm-content').length >= 3")
        until_true(
            driver, "document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')"
        )
        driver.find_element("css selector", ".jp-CodeCell .cm-content").click()
        run_cell(driver)
        until_true(driver, "document.querySelector('iframe[title^=Explorer]')")
        wait_in_frame(driver, "document.documentElement.dataset.state === 'ready'")
        nets = in_frame(driver, "return weightspaceExplorer.world.nets")
        in_frame(driver, "weightspaceExplorer.choice.select([1, 2])")
        time.sleep(0.5)  # the message goes through the server to the kernel
        run_cell(driver)
        until_true(driver, 'document.body.textContent.includes("selected [\'")')
        text = driver.find_element("css selector", ".jp-OutputArea-output pre").text
        assert text == f"selected {nets[1:3]}"
        run_cell(driver)
        wait_in_frame(driver, "weightspaceExplorer.choice.chosen().length === 2 && "
                              "weightspaceExplorer.choice.chosen()[0] === 3")  # fmt: skip
        assert in_frame(driver, "return weightspaceExplorer.choice.chosen()") == [3, 4]
