"""Where the documentation explains the evidence of an audit."""

from __future__ import annotations

from weightspace.errors import SITE

_PAGES = {
    "column sums": "laws/columns/",
    "still directions": "laws/directions/",
    "before batch norm": "laws/before-norm/",
    "kernels before batch norm": "laws/before-norm/",
    "counters": "laws/counters/",
    "bounds of steps": "laws/bounds/",
    "number formats": "laws/grids/",
    "optimizer state": "laws/beside/",
    "settings in the file": "laws/beside/",
    "initial weights by seed": "laws/seeds/",
    "kinship": "laws/kinship/",
    "inputs that never vary": "laws/inputs/",
    "initial distributions": "laws/initial/",
    "unused rows": "laws/inputs/#unused-rows-of-embeddings",
}
FACTS = "checkpoints/"
AUDITS = "audit/"


def is_law(name: str) -> bool:
    """Whether evidence of this name is that of a law, with a page of its own."""
    return name in _PAGES


def page_of(law: str) -> str:
    """The address of the page that explains a law, or what files state.

    >>> page_of("column sums")
    'https://weightspace.github.io/weightspace/laws/columns/'
    """
    return SITE + _PAGES.get(law, FACTS)
