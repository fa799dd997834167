"""The files of which pages are made: style sheets, scripts and templates."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def own(name: str, package: str = "weightspace.report.html") -> str:
    """The text of a style sheet or a script."""
    return (resources.files(package) / name).read_text(encoding="utf-8")


def environment(package: str = "weightspace.report.html") -> Environment:
    """Templates of a package, in which all text is escaped and every name must be known."""
    return Environment(
        loader=PackageLoader(package, "."),
        autoescape=select_autoescape(("html", "jinja")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
