"""A weights file from outside, made comparable with the nets of a zoo.

In: the path of a checkpoint that someone else made, safetensors or torch. Out: a `Checkpoint`,
one flat vector with its `Layout`, and a reason for every tensor, used or skipped. Promises:
nothing that stands in a file is ever executed, pickles are read as data; every value comes from the
place in the file where the tensor says it lies; time and memory are bounded, whatever the file; one
that cannot be read ends in one line that names it and the remedy; the result is never empty, and a
fitted model's answer comes with that account. Roles are read off names and shapes as torch
writes them, kernels are taken as stored: nothing is transposed, reshaped or invented.
"""

from weightspace.checkpoints.checkpoint import Checkpoint, read_checkpoint
from weightspace.checkpoints.prediction import Prediction, predict
from weightspace.checkpoints.roles import Note

__all__ = ["Checkpoint", "Note", "Prediction", "predict", "read_checkpoint"]
