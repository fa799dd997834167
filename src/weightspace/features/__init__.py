"""From weights to numbers: what a classifier gets to see of a slice or of a whole vector.

In: slices as float32 [n, L], or one vector with its layout. Out: float32 rows with named columns:
`statistics` (the shallow set of the paper), `local` (adds autocorrelation, spectra, fine
quantiles), `layers` (one row a net, per-layer numbers), `tokens` (the same, layer by layer).
Promises: every row depends on its own slice alone, so chunks and order change nothing; the output
is finite for every finite input; nothing here knows a label, and no shape or count of layers
enters a feature.
"""

from weightspace.features.layers import LAYERS_NAMES, layers
from weightspace.features.local import LOCAL_NAMES, local
from weightspace.features.statistics import SHORTEST, STATISTICS_NAMES, statistics
from weightspace.features.tokens import TOKENS, TOKENS_NAMES, tokens

__all__ = [
    "LAYERS_NAMES",
    "LOCAL_NAMES",
    "SHORTEST",
    "STATISTICS_NAMES",
    "TOKENS",
    "TOKENS_NAMES",
    "layers",
    "local",
    "statistics",
    "tokens",
]
