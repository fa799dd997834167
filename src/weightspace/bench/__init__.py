"""A benchmark of what reads hyper-parameters from weights.

In: one of three populations, which anyone samples with one command, and an encoder: anything that
learns to predict properties of nets from their weights. Out: a small result, sealed by its hash,
with the encoder's answers; and the leaderboard of many results. Promises: a population is pinned by
the hash of its recipes and images; split and tasks follow from it; an encoder sees weights alone,
and no test net before it is judged; a result holds all answers, and its scores are computed from
them wherever it is read.
"""

from weightspace.bench.encoders import OWN, Encoder, encoder
from weightspace.bench.populations import POPULATIONS, Population, population
from weightspace.bench.results import Answered, Result, read_result
from weightspace.bench.rows import Rows
from weightspace.bench.running import run
from weightspace.bench.table import leaderboard
from weightspace.bench.tasks import Examples, Lesson, Target, lessons_of

__all__ = [
    "OWN",
    "POPULATIONS",
    "Answered",
    "Encoder",
    "Examples",
    "Lesson",
    "Population",
    "Result",
    "Rows",
    "Target",
    "encoder",
    "leaderboard",
    "lessons_of",
    "population",
    "read_result",
    "run",
]
