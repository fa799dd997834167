"""From weights to numbers: the features of a slice or of a whole vector.

In: slices as float32 [n, L], or one vector with its layout. Out: float32 rows with named columns:
`statistics` (the shallow feature set of Eilertsen et al. 2020), `local` (adds autocorrelation,
spectra and fine quantiles), `pooled` (slices of one vector jointly), `layers` (one row for each
net, with numbers of its layers), `tokens` (the same, layer by layer). Promises: every row depends
only on its own slice or vector, so chunks and order change nothing; the output is finite for every
finite input; no function here sees a label; the shapes and the number of layers are not features.
"""

from weightspace.features.layers import LAYERS_NAMES, layers
from weightspace.features.local import LOCAL_NAMES, local
from weightspace.features.pooled import POOLED_NAMES, SLICES, pooled
from weightspace.features.statistics import SHORTEST, STATISTICS_NAMES, statistics
from weightspace.features.tokens import TOKENS, TOKENS_NAMES, tokens

__all__ = [
    "LAYERS_NAMES",
    "LOCAL_NAMES",
    "POOLED_NAMES",
    "SHORTEST",
    "SLICES",
    "STATISTICS_NAMES",
    "TOKENS",
    "TOKENS_NAMES",
    "layers",
    "local",
    "pooled",
    "statistics",
    "tokens",
]
