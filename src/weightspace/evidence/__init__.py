"""Laws of training as tests of one net; no population is needed.

In: a `Subject` (the tensors of a net by layers, read when they are asked for) and a `Context`
(what is known or claimed beside it). Out: `Evidence`, one for each thing that a law says: a
statistic, a p-value for each possible answer, an estimate with its interval, and a sentence.
Promises: a law that cannot be applied says why; what is claimed never changes what is measured;
nothing is random. The laws are derived in docs/laws.md, with the error rates that were measured.
"""

from weightspace.evidence.comparison import Comparison, TensorPair
from weightspace.evidence.context import Context
from weightspace.evidence.kinship import compare
from weightspace.evidence.laws import LAWS, examine
from weightspace.evidence.record import Estimate, Evidence, Hypothesis
from weightspace.evidence.subject import Subject, of_checkpoint

__all__ = [
    "LAWS",
    "Comparison",
    "Context",
    "Estimate",
    "Evidence",
    "Hypothesis",
    "Subject",
    "TensorPair",
    "compare",
    "examine",
    "of_checkpoint",
]
