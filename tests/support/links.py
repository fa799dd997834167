"""Links and anchors of the documentation, from its Markdown sources."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)[^\n]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\\)\]\((?!https?:|mailto:)(?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(?P<text>.+?)\s*#*$", re.MULTILINE)


def sources() -> list[Path]:
    """Every page: those at the root of the repository, and all of the site."""
    inside = [path for path in DOCS.rglob("*") if path.suffix in (".md", ".ipynb")]
    stored = [path for path in inside if len(path.relative_to(DOCS).parts) > 2]  # tables of results
    return sorted({*ROOT.glob("*.md"), *inside} - set(stored))


def prose(path: Path) -> str:
    """The Markdown of a page or a notebook, without blocks of code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [one for one in json.loads(text)["cells"] if one["cell_type"] == "markdown"]
        text = "\n\n".join("".join(one["source"]) for one in cells)
    return FENCE.sub("", text)


def links(text: str) -> list[str]:
    """The targets of the links and images that do not lead out of the documentation."""
    return [match["target"] for match in LINK.finditer(re.sub(r"`[^`\n]+`", "", text))]


def anchors(text: str) -> list[str]:
    """The anchor of each heading, as the site makes them."""
    found: list[str] = []
    for match in HEADING.finditer(text):
        words = re.sub(r"!?\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])", r"\1", match["text"])
        words = re.sub(r"<[^>]+>|[`*]", "", words)
        plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
        own = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        again = own
        while again in found:  # the second one of this name ends with _1
            last = re.fullmatch(r"(.+)_(\d+)", again)
            again = f"{last[1]}_{int(last[2]) + 1}" if last else f"{own}_1"
        found.append(again)
    return found


def dead(path: Path, known: dict[Path, list[str]]) -> list[str]:
    """The links of a page that lead nowhere. `known` has the anchors of pages."""
    missing = []
    for target in links(prose(path)):
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path.resolve()
        if not place.exists() or (anchor and place in known and anchor not in known[place]):
            missing.append(target)
    return missing
