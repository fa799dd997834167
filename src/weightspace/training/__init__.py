"""The stack trainer: from recipes and images to a stream of snapshots with metrics.

In: recipes of one plan and batch size, and the image sets that they name. Out: for each net its
snapshots (flat float32 vectors) with losses and accuracies, and whether it converged, diverged or
is dead. Promises: every random number depends only on the recipe's seed, its purpose and the step,
never on the other nets of the stack; the same holds for when a net stops and which snapshots are
kept; nets trained together equal nets trained alone up to rounding; training that continues from a
saved state gives the same bits. This room reads and writes no files and does not know zoos.
"""

from weightspace.training.batches import VALIDATION_FRACTION, epoch_steps
from weightspace.training.names import learn, named
from weightspace.training.optimizers import OPTIMIZERS, Optimizer
from weightspace.training.outcome import Outcome, Snapshot
from weightspace.training.pool import Pool
from weightspace.training.schedule import Course, expected_epochs, snapshot_steps
from weightspace.training.state import State, restore, state_of
from weightspace.training.trainer import StackTrainer

__all__ = [
    "OPTIMIZERS",
    "VALIDATION_FRACTION",
    "Course",
    "Optimizer",
    "Outcome",
    "Pool",
    "Snapshot",
    "StackTrainer",
    "State",
    "epoch_steps",
    "expected_epochs",
    "learn",
    "named",
    "restore",
    "snapshot_steps",
    "state_of",
]
