"""What every copy of `support.copies` has loaded before it begins.

Rooms import their modules when they are first used, so what copies use is imported here by name.
`tests/test_copies.py` notices what is missing: a copy that loads torch itself takes three seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest  # noqa: F401
import sklearn.datasets  # noqa: F401 - some images are there
import torch._dynamo
import torch.profiler  # noqa: F401 - as the line before, loaded by torch's optimizers

import weightspace.cli.app
import weightspace.recording.recorder
import weightspace.sampling.run  # noqa: F401


def told(act: Callable[..., object], *arguments: object) -> None:
    """Act, and print a line with the modules that this loaded."""
    before = set(sys.modules)
    act(*arguments)
    print("loaded", *sorted(set(sys.modules) - before))
