"""Versions of the packages that the numbers depend on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def versions() -> dict[str, str]:
    """Package -> version of all packages that numbers depend on; "unknown" if not installed."""
    found = {}
    for name in ("weightspace", "numpy", "scipy", "scikit-learn", "polars"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def in_one_line() -> str:
    """The versions as text: `weightspace 1.0, numpy 2.0, ...`."""
    return ", ".join(f"{name} {number}" for name, number in versions().items())
