"""Native libraries: a build for each width of vector registers, the widest of which is loaded.

`weightspace.networks.native` trains, `weightspace.features.native` reads. Each has a twin in torch
or NumPy that is used where nothing was built.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def builds(folder: Path) -> list[Path]:
    """The builds in a folder that this processor supports, the widest last."""
    there = {path.name.split(".")[0]: path for path in folder.glob("_v*.so")}
    if "_v2" not in there:
        return []
    level = ctypes.CDLL(str(there["_v2"])).ws_level()
    return [path for name, path in sorted(there.items()) if int(name[2:]) <= level]


def widest(folder: Path) -> Path | None:
    """The build to load; None if there is none or native libraries are switched off.

    The environment variable WEIGHTSPACE_NATIVE=0 switches them off.
    """
    found = builds(folder)
    return found[-1] if found and os.environ.get("WEIGHTSPACE_NATIVE") != "0" else None
