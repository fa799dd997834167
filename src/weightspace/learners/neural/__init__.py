"""Networks that read slices as they are, the paper's and a cheaper one, and one on whole nets.

In: slices float32 [n, L], or a function that draws fresh ones of given nets, or rows of tokens,
and labels. Out: estimators of scikit-learn's contract, `Paper`, `Patches` and `Sequence`, that the
registry of `meta` knows by name. Promises: torch is loaded only where one of them is used; one
seed is one result on one device; they are stored as safetensors and JSON, and loading one
executes nothing.
"""

from weightspace.learners.neural.arithmetic import multiply_adds, receptive_field
from weightspace.learners.neural.estimators import Paper, Patches, Sequence, SliceNetwork

__all__ = ["Paper", "Patches", "Sequence", "SliceNetwork", "multiply_adds", "receptive_field"]
