"""A page as a parser and as a browser read it."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Reader(HTMLParser):
    """Elements, attributes, and the text of every script."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self.lasttag = ""

    def handle_data(self, data):
        if self.lasttag == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        else:
            self.text.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def browse(text: str, folder: Path) -> tuple[str, str]:
    """The page's elements after its scripts ran, and what the browser logged."""
    if CHROMIUM is None:
        pytest.skip("needs chromium, which is not installed here")
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update --enable-logging=stderr --v=0 "
        "--virtual-time-budget=20000 --window-size=1200,3000 --dump-dom"
    )
    run = subprocess.run(
        [CHROMIUM, *options.split(), f"--user-data-dir={folder / 'profile'}", path.as_uri()],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    console = "\n".join(line for line in run.stderr.splitlines() if "CONSOLE" in line)
    return run.stdout, console
