"""The stack trainer: recipes and images in, a stream of snapshots and metrics out.

In: recipes of one plan and batch size, and the image sets they name. Out: for each net its
snapshots (flat float32 vectors) with losses and accuracies, and flags for nets that converged,
diverged or are dead. Promises: every random number is a function of the recipe's seed, its purpose
and the step, never of a neighbour in the stack, and so is when a net stops and what is kept of
it; nets trained together equal nets trained alone up to rounding; a state taken between
two steps and restored goes on bit for bit. Knows neither disk nor zoo.
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
