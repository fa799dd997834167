"""How a checkpoint was trained, and whether what is said of it is true.

In: a checkpoint, and what else there is: a fitted model, claims. Out: a `Prediction` by a model
with the account of the tensors that were read (`readings`). Promises: outside of the population of
a model nothing is read, and the reason is given in words; nothing in a file is executed.

`weightspace.audit` was once the name of `weightspace.checkpoints`; the names of that room still
work here for one release, and warn.
"""

from weightspace._moved import moved

__getattr__ = moved("weightspace.audit", "weightspace.checkpoints")
