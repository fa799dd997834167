"""Ways into and out of a zoo: the formats in which other people keep populations of trained nets.

In: the release of the NWS data set, the Small CNN Zoo, trial folders of Model Zoos, folders of
checkpoints with a table of what is known about them; or a zoo. Out: a zoo, in which unknown values
stay unknown; or folders in these formats, torch state dicts, a data set repository with its card.
Promises: nothing in a file is executed, no path in a file leads out of its folder, and no value
changes unless that is requested; what cannot be read is refused with file, net and remedy; nothing
existing is overwritten, and an export is written completely or not at all. The names below are
imported on first use, because some need torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightspace.interop.candidates import NotTaken
    from weightspace.interop.exporting import Exported, export_zoo
    from weightspace.interop.importing import import_zoo
    from weightspace.interop.known import add
    from weightspace.interop.publishing import Published, publish

_HOMES = {
    "candidates": ("NotTaken",),
    "exporting": ("Exported", "export_zoo"),
    "importing": ("import_zoo",),
    "known": ("add",),
    "publishing": ("Published", "publish"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["Exported", "NotTaken", "Published", "add", "export_zoo", "import_zoo", "publish"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"weightspace.interop.{_HOME[name]}"), name)
    raise AttributeError(f"module 'weightspace.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
