"""Types of arrays with a shape: `Float32[np.ndarray, "n length"]`, as jaxtyping defines them.

Type checkers read the type of the array from it. The tests check the shapes too, of calls; the
package itself checks nothing, and uses jaxtyping at run time only where somebody has loaded it
already, because loading it would add a quarter to `import weightspace.features`.

An axis is a name, a number, or `{argument}`. The same name in one signature is the same size; `...`
stands for any axes. A single name begins with a space (`" n"`), or linters take it for a type. The
names are those of the docstrings:

=========  ============================================================
`n`        rows: slices, or whole nets in a table of features
`length`   values of a slice
`P`        values of a whole vector, which `layout.size` is
`k`        snapshots of a net
`F`        features, the columns of `n` rows
`q`        labelings, which are properties of the nets
`levels`   classes of one labeling; `columns` those of several
`D`        columns of mapped features, in which a ridge is linear
`m`        nets that slices are drawn from
`rows`     rows of the table of snapshots, one for each stored vector
=========  ============================================================

`Asked[np.ndarray, "n length"]` is what a function asks for and looks at by itself, so that whoever
gives something else is told in words; the tests give such functions arrays of any shape.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from typing import Annotated as Asked

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import (
        Bool,
        Float,
        Float32,
        Float64,
        Int,
        Int32,
        Int64,
        Num,
        Shaped,
        UInt8,
        UInt64,
    )
else:

    class _Plain:
        """Stands in for a type of jaxtyping: what remains is the type of the array."""

        def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
            return item[0]

    Bool = Float = Float32 = Float64 = Int = Int32 = Int64 = Num = Shaped = UInt8 = UInt64 = _Plain

__all__ = [
    "Asked",
    "Bool",
    "Float",
    "Float32",
    "Float64",
    "Int",
    "Int32",
    "Int64",
    "Num",
    "Shaped",
    "UInt8",
    "UInt64",
]
