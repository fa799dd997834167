"""Neural networks as meta-classifiers: two that read slices, and one that reads whole nets.

In: slices float32 [n, L], or a function that draws fresh slices of given nets, or rows of tokens;
and labels. Out: estimators with scikit-learn's contract, `Paper`, `Patches` and `Sequence`, which
the registry lists by name. Promises: torch is loaded only when one of them is used; the same seed
gives the same result on one device; they are stored as safetensors and JSON, and loading executes
nothing.
"""

from weightspace.learners.neural.arithmetic import multiply_adds, receptive_field
from weightspace.learners.neural.estimators import Paper, Patches, Sequence, SliceNetwork

__all__ = ["Paper", "Patches", "Sequence", "SliceNetwork", "multiply_adds", "receptive_field"]
