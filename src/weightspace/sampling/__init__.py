"""Plan the work, run it, resume it: from a space to a zoo on disk.

In: a space, a number of nets and a directory. Out: a `Zoo`. Promises: work is cut into units (one
stack each) by a pure function of the recipes and the stack sizes stored in the zoo, so the same
command continues where a killed one stopped and ends in the same zoo; a unit counts only when it
is whole; time, disk and memory are estimated before anything is written.
"""

from weightspace.sampling.estimate import Estimate
from weightspace.sampling.reproduction import Reproduction, reproduce
from weightspace.sampling.run import estimate, sample

__all__ = ["Estimate", "Reproduction", "estimate", "reproduce", "sample"]
