"""What stands in a figure or in a printed table."""

from __future__ import annotations

from matplotlib.text import Text
from rich.console import Console


def texts(figure):
    return [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]


def title(figure):
    return " ".join(figure.texts[0].get_text().replace("\u00a0", " ").split())


def printed(drawn, width=120):
    console = Console(width=width, record=True, file=None, force_terminal=False, quiet=False)
    with console.capture() as capture:
        console.print(drawn)
    return capture.get()
