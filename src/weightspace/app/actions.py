"""What the buttons of the page do: put files into a job, run it, and tell how far it is."""

from __future__ import annotations

import asyncio
import base64
import html
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from weightspace import disk
from weightspace.app.jobs import HUB, Failure, Job, Kind, Result, Said
from weightspace.app.limits import Limits
from weightspace.app.running import answers
from weightspace.app.uploads import Uploads
from weightspace.audit import claims_in
from weightspace.errors import DataError, UsageError, WeightspaceError
from weightspace.images import catalogue
from weightspace.printable import printable

Chosen = tuple[Mapping[str, Any] | None, str, str]
"""An upload as the browser describes it, the name that was typed, and the key."""
_LONGEST = 500  # characters of a line
_LINKS = "allow-same-origin allow-downloads allow-popups allow-popups-to-escape-sandbox"
_SCRIPTS = "allow-scripts allow-downloads"  # without the origin of the app
_WHOLE = '<button type="button" class="whole">Whole screen</button>'
_BELOW: Mapping[Kind, Sequence[tuple[str, ...]]] = {
    "audit": ((),),
    "compare": (("A",), ("B",)),
    "explore": (("upload",),),
}
"""The folders of the files in that of a job."""


@dataclass(frozen=True)
class Asked:
    """What an audit is asked: the card, the training data, and how many seeds to try."""

    card: str = ""
    data: str = ""
    seeds: int = 0


class Actions:
    """The jobs of all visitors.

    Parameters
    ----------
    uploads : Uploads
        Their files.
    limits : Limits
        What they may ask for.

    Attributes
    ----------
    data_sets : tuple of str
        The image sets that this machine has.
    """

    def __init__(self, uploads: Uploads, limits: Limits) -> None:
        self.uploads = uploads
        self.limits = limits
        self.data_sets = tuple(one.name for one in catalogue() if one.state == "ready")
        self._running: dict[str, set[asyncio.Event]] = {}

    async def said(
        self,
        kind: Kind,
        chosen: tuple[Chosen, ...],
        visitor: str = "",
        asked: Asked | None = None,
    ) -> AsyncGenerator[Said, None]:
        """Run a job of these files; its folder is removed when the iteration is left.

        Parameters
        ----------
        kind : str
            "audit", "compare" or "explore".
        chosen : tuple
            The files.
        visitor : str
            Whose job it is, for `leave`.
        asked : Asked, optional
            What an audit is asked.

        Yields
        ------
        Step, Result or Failure
        """
        paths = [str(upload["path"]) if upload else None for upload, _, _ in chosen]
        names = [name or "" for _, name, _ in chosen]
        asked = asked or Asked()
        try:
            await asyncio.to_thread(self._check, kind, paths, names, asked)
        except WeightspaceError as error:
            yield Failure(str(error), kept=True)
            return
        folder, stop = self.uploads.job_folder(), asyncio.Event()
        self._running.setdefault(visitor, set()).add(stop)
        try:
            sources = zip(paths, names, _BELOW[kind], strict=True)
            files = [self.uploads.put(folder, *one) for one in sources]
            keys = tuple(key or "" for _, _, key in chosen)
            job = Job(
                kind, tuple(files), asked.card, keys, str(folder.path), self.limits.memory,
                asked.data, asked.seeds, self.limits.upload, self.limits.nets,
            )  # fmt: skip
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

    def _check(self, kind: Kind, paths: list[str | None], names: list[str], asked: Asked) -> None:
        """Find mistakes before any file is moved: a visitor can mend them without dropping it."""
        if kind == "explore" and not paths[0] and not names[0]:
            raise UsageError("zoo", "none is given", "drop its archive, or try the example")
        for path, name in zip(paths, names, strict=True):
            self.uploads.check(path, name)
        if asked.card.strip() and not asked.card.strip().startswith(HUB):
            claims_in(asked.card)
        if asked.data and asked.data not in self.data_sets:
            raise UsageError("data", f"{printable(asked.data, 60)} is not on this machine")
        if not 0 <= asked.seeds <= self.limits.seeds:
            most = self.limits.seeds
            raise UsageError("seeds", f"{asked.seeds:,} is not a number from 0 to {most:,}")

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
    """The page of a result as HTML: links that save it, and a frame. A script fills both."""
    if not isinstance(said, Result):
        return ""
    title = html.escape(said.headline, quote=True)
    page = _link("Save the page", f"{name}.html", "text/html", said.page, "page")
    document = _link("Save as JSON", f"{name}.json", "application/json", said.document)
    allowed = _SCRIPTS if name == "explore" else _LINKS
    return (
        f'<p class="save">{page} {document if said.document else _WHOLE}</p>'
        f'<iframe class="page {name}" title="{title}" sandbox="{allowed}"></iframe>'
    )


def _link(text: str, file: str, kind: str, content: str, name: str = "") -> str:
    """A link without an address: one that held the content would be too long for a browser."""
    packed = base64.b64encode(content.encode()).decode()
    data = f'data-type="{kind};charset=utf-8" data-content="{packed}"'
    return f'<a class="{name}" download="{file}" {data}>{text}</a>'
