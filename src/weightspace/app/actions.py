"""What the buttons of the page do: put files into a job, run it, and tell how far it is."""

from __future__ import annotations

import asyncio
import base64
import html
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Literal

from weightspace import disk
from weightspace.app.jobs import HUB, Failure, Job, Result, Said
from weightspace.app.limits import Limits
from weightspace.app.running import answers
from weightspace.app.uploads import Uploads
from weightspace.audit import claims_in
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
        self._running: dict[str, set[asyncio.Event]] = {}

    async def said(
        self,
        kind: Literal["audit", "compare"],
        chosen: tuple[Chosen, ...],
        card: str = "",
        visitor: str = "",
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
        visitor : str
            Whose job it is, for `leave`.

        Yields
        ------
        Step, Result or Failure
        """
        paths = [str(upload["path"]) if upload else None for upload, _, _ in chosen]
        names = [name or "" for _, name, _ in chosen]
        try:
            await asyncio.to_thread(self._check, paths, names, card)
        except WeightspaceError as error:
            yield Failure(str(error), kept=True)
            return
        folder, stop = self.uploads.job_folder(), asyncio.Event()
        self._running.setdefault(visitor, set()).add(stop)
        try:
            below: Sequence[tuple[str, ...]] = ((),) if len(chosen) == 1 else (("A",), ("B",))
            sources = zip(paths, names, below, strict=True)
            files = [self.uploads.put(folder, *one) for one in sources]
            keys = tuple(key or "" for _, _, key in chosen)
            job = Job(kind, tuple(files), card, keys, str(folder.path), self.limits.memory)
            async with aclosing(answers(job, self.limits.seconds, stop)) as lines:
                async for line in lines:
                    yield line
        except WeightspaceError as error:
            yield Failure(str(error))
        finally:
            self._running.get(visitor, set()).discard(stop)
            with suppress(DataError, OSError):
                disk.remove_tree(folder)

    def leave(self, visitor: str) -> None:
        """End the jobs of a visitor, who has cancelled them or closed the page.

        Parameters
        ----------
        visitor : str
            As for `said`.
        """
        for stop in self._running.pop(visitor, ()):
            stop.set()

    def _check(self, paths: list[str | None], names: list[str], card: str) -> None:
        """Find mistakes before any file is moved: a visitor can mend them without dropping it."""
        for path, name in zip(paths, names, strict=True):
            self.uploads.check(path, name)
        if card.strip() and not card.strip().startswith(HUB):
            claims_in(card)

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
