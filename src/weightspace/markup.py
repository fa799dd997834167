"""A result as a few lines of HTML for a notebook: a title, facts and a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from weightspace.printable import printable

_MOST = 50  # rows
_LONGEST = 400  # characters of a cell


def summary(
    title: str,
    facts: Iterable[tuple[str, object]] = (),
    headings: Sequence[str] = (),
    rows: Sequence[Sequence[object]] = (),
    note: str = "",
) -> str:
    """HTML of a title, facts as name and value, and a table of at most 50 rows.

    All text is escaped, and shown without control characters. There are no scripts. Numbers have
    four digits, and None is a dash.

    Examples
    --------
    >>> summary("Net <b>", [("nets", 3)])
    '<div><b>Net &lt;b&gt;</b><table><tr><td>nets</td><td>3</td></tr></table></div>'
    """
    parts = [f"<b>{_text(title)}</b>"]
    if facts := list(facts):
        parts.append(f"<table>{''.join(_row(fact) for fact in facts)}</table>")
    if rows:
        head = f"<thead>{_row(headings, 'th')}</thead>"
        body = "".join(_row(row) for row in rows[:_MOST])
        parts.append(f"<table>{head}<tbody>{body}</tbody></table>")
    if len(rows) > _MOST:
        note = f"and {len(rows) - _MOST:,} more rows. {note}".strip()
    if note:
        parts.append(f"<p>{_text(note)}</p>")
    return f"<div>{''.join(parts)}</div>"


def _row(cells: Sequence[object], tag: str = "td") -> str:
    return f"<tr>{''.join(f'<{tag}>{_text(cell)}</{tag}>' for cell in cells)}</tr>"


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return escape(printable(f"{value:,}" if isinstance(value, int) else value, _LONGEST))
