"""What the buttons of the page do: put files into a job, run it, and tell how far it is."""

from __future__ import annotations

import base64
import html
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Literal

from weightspace import disk
from weightspace.app.jobs import Failure, Job, Result, Said, Step
from weightspace.app.limits import Limits
from weightspace.app.running import answers
from weightspace.app.uploads import Uploads
from weightspace.errors import DataError, WeightspaceError
from weightspace.printable import printable

Chosen = tuple[Mapping[str, Any] | None, str, str]
"""An upload as the browser describes it, the name that was typed, and the key."""
_LONGEST = 500  # characters of a line


class Actions:
    """The jobs of all visitors.

    Parameters
    ----------
    uploads : Uploads
        Their files.
    limits : Limits
        What they may ask for.
    """

    def __init__(self, uploads: Uploads, limits: Limits) -> None:
        self.uploads = uploads
        self.limits = limits

    async def said(
        self, kind: Literal["audit", "compare"], chosen: tuple[Chosen, ...], card: str = ""
    ) -> AsyncGenerator[Said, None]:
        """Run a job of these files; its folder is removed when the iteration is left.

        Parameters
        ----------
        kind : str
            "audit" or "compare".
        chosen : tuple
            The files.
        card : str
            What is claimed.

        Yields
        ------
        Step, Result or Failure
        """
        folder = self.uploads.job_folder()
        try:
            names = []
            for number, (upload, name, _) in enumerate(chosen):
                below = ("AB"[number],) if len(chosen) > 1 else ()
                path = str(upload["path"]) if upload else None
                names.append(self.uploads.put(folder, path, name or "", below))
            job = Job(kind, tuple(names), card, tuple(key or "" for _, _, key in chosen))
            job = replace(job, folder=str(folder.path), memory=self.limits.memory)
            async with aclosing(answers(job, self.limits.seconds)) as lines:
                async for line in lines:
                    yield line
        except WeightspaceError as error:
            yield Failure(str(error))
        finally:
            with suppress(DataError, OSError):
                disk.remove_tree(folder)

    def card_text(self, upload: Mapping[str, Any]) -> str:
        """The text of a card that was dropped; WeightspaceError if it is none."""
        return self.uploads.text_of(str(upload["path"]))


def status(said: Said) -> str:
    """One line on what a job said, as HTML."""
    if isinstance(said, Failure):
        return f'<p class="failure">{html.escape(printable(said.line, _LONGEST))}</p>'
    if isinstance(said, Result):
        return f"<p>{html.escape(printable(said.headline, _LONGEST))}</p>"
    return (
        f'<p class="step">{html.escape(said.task)} '
        f'<progress max="{said.total:g}" value="{said.done:g}" aria-label="progress"></progress>'
        "</p>"
    )


def shown(said: Said, name: str) -> str:
    """The page of a result as HTML: links that save it, and a frame that a script fills."""
    if not isinstance(said, Result):
        return ""
    page = _address("text/html", said.page)
    document = _address("application/json", said.document)
    title = html.escape(said.headline, quote=True)
    return (
        f'<p class="save"><a class="page" download="{name}.html" href="{page}">Save the page</a> '
        f'<a download="{name}.json" href="{document}">Save as JSON</a></p>'
        f'<iframe class="page" title="{title}" '
        'sandbox="allow-same-origin allow-downloads allow-popups allow-popups-to-escape-sandbox">'
        "</iframe>"
    )


def _address(kind: str, text: str) -> str:
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"


__all__ = ["Actions", "Chosen", "Step", "shown", "status"]
