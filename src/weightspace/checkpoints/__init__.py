"""Weights files from other people, in the form of the nets of a zoo.

In: the path of a checkpoint, safetensors or torch. Out: a `Checkpoint`: one flat vector with its
`Layout`, and a reason for every tensor, used or skipped. Promises: nothing in a file is ever
executed, and pickles are read as data; every value comes from the bytes that the tensor refers to;
time and memory are bounded for every file; a file that cannot be read gives one line with its name
and the remedy; the result is never empty, and a prediction comes with the account of the tensors.
The roles of tensors follow from names and shapes as torch writes them. Kernels are used as stored:
nothing is transposed, reshaped or made up.
"""

from weightspace.checkpoints.checkpoint import Checkpoint, read_checkpoint
from weightspace.checkpoints.prediction import Prediction, predict
from weightspace.checkpoints.roles import Note

__all__ = ["Checkpoint", "Note", "Prediction", "predict", "read_checkpoint"]
