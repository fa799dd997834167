"""Record the training runs of one's own loops and libraries into a zoo.

In: a model of torch or Keras that is being trained, its optimizer, what its user says of the
recipe, and a call after each step. Out: a zoo with a net for each run: snapshots of the weights,
metrics, and the recipe as far as it is known. Promises: the vectors are those of a checkpoint of
the model; the loop copies weights at snapshots only, and a thread writes them; whatever is killed
at whatever moment, the zoo stays sound and the run can be continued; any number of processes record
into one zoo; what nobody stated stays unknown; no library is imported before it is asked for.
`watch` reads the checkpoints of other programs, and the runs that are being recorded, as they
appear. `merge` joins zoos that were recorded in different folders, or sampled in parts.
"""

from weightspace.recording.merging import merge
from weightspace.recording.recorder import Recorder
from weightspace.recording.run import Run
from weightspace.recording.watching import Sighting, watch

__all__ = ["Recorder", "Run", "Sighting", "merge", "watch"]
