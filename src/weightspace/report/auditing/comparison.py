"""`comparison_page`: one self-contained HTML page of the comparison of two nets."""

from __future__ import annotations

import base64
import json

from markupsafe import Markup

from weightspace.evidence import Comparison
from weightspace.printable import printable
from weightspace.report.auditing.documents import page_of
from weightspace.report.auditing.words import LONGEST
from weightspace.report.claims.words import count, sentence
from weightspace.report.html.assets import environment, own
from weightspace.report.text.comparison import kernels, table, without_partner

_PACKAGE = "weightspace.report.auditing"
_MOST = 200  # rows of the table
_NAME = 160  # characters


def comparison_page(found: Comparison) -> str:
    """Make the HTML page of a comparison.

    Parameters
    ----------
    found : Comparison
        As `weightspace.evidence.compare` returns it.

    Returns
    -------
    str
        The page. It needs no network, and has no script.

    Examples
    --------
    >>> import tempfile, torch
    >>> from weightspace.evidence import compare
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(torch.nn.Linear(20, 32).state_dict(), f"{folder}/net.pt")
    ...     found = compare(f"{folder}/net.pt", f"{folder}/net.pt")
    >>> "<h1>Identical</h1>" in comparison_page(found)
    True
    """
    shown = kernels(found)[:_MOST]
    columns, rows = table(shown)
    left = len(found.tensors) - len(shown)
    return environment(_PACKAGE).get_template("comparison.html.jinja").render(
        title=sentence(found.verdict),
        names=[("A", printable(found.first, LONGEST)), ("B", printable(found.second, LONGEST))],
        strength=found.strength if found.decided else "",
        says=[printable(text, LONGEST) for text in found.says],
        alone=[(where, printable(text, LONGEST)) for where, text in without_partner(found)],
        columns=columns,
        rows=[[printable(cell, _NAME) for cell in cells] for cells in rows],
        left=count(left, "more tensor") if left else "",
        about=page_of("kinship"),
        style=Markup(own("page.css") + own("audit.css", _PACKAGE)),
        json=_encoded(found),
    )  # fmt: skip


def _encoded(found: Comparison) -> str:
    """The comparison as JSON in the address of a link, from which a browser saves it."""
    plain = json.dumps(found.to_dict(), indent=1, default=str)
    return f"data:application/json;base64,{base64.b64encode(plain.encode()).decode()}"
