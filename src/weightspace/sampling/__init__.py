"""Plan the work, run it, resume it: from a space to a zoo on disk.

In: a space, a number of nets and a folder. Out: a `Zoo`. Promises: work is divided into stacks (in
code: units) by a pure function of the recipes and the stack sizes stored in the zoo, so that the
same command continues where a killed one stopped and gives the same zoo; only complete stacks
count; time, disk and memory are estimated before anything is written. The names below are imported
on first use, so that the command line can show the defaults of options without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightspace.sampling.needs import Estimate
    from weightspace.sampling.reproduction import Reproduction, reproduce
    from weightspace.sampling.run import estimate, sample

_HOMES = {
    "needs": ("Estimate",),
    "reproduction": ("Reproduction", "reproduce"),
    "run": ("estimate", "sample"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["Estimate", "Reproduction", "estimate", "reproduce", "sample"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"weightspace.sampling.{_HOME[name]}"), name)
    raise AttributeError(f"module 'weightspace.sampling' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
