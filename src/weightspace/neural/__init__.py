"""Networks that read slices as they are: the paper's, and one of a hundredth of its arithmetic.

In: slices float32 [n, L], or a function that draws fresh ones of given nets, and labels. Out:
estimators of scikit-learn's contract, `Paper` and `Patches`, that the registry of `meta` knows by
name. Promises: torch is loaded only where one of them is used; one seed is one result on one
device; they are stored as safetensors and JSON, and loading one executes nothing.
"""

from weightspace.neural.arithmetic import multiply_adds, receptive_field
from weightspace.neural.estimators import Paper, Patches, SliceNetwork

__all__ = ["Paper", "Patches", "SliceNetwork", "multiply_adds", "receptive_field"]
