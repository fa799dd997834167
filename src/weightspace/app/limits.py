"""`Limits`: how much a visitor of the app may ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass

MEGABYTE = 2**20  # as Gradio counts them where it refuses a file


@dataclass(frozen=True)
class Limits:
    """What the app allows.

    Attributes
    ----------
    upload : int
        The most bytes of a file, and of all files of a zoo that is unpacked.
    stored : int
        The most bytes of all uploaded files that wait for their audits.
    kept : float
        How many seconds an uploaded file waits for its audit before it is removed.
    seconds : float
        How long an audit may take.
    memory : int
        The most bytes of memory of an audit.
    at_once : int
        How many audits run at once; others wait.
    waiting : int
        How many may wait.
    nets : int
        How many nets of a zoo are shown; of a larger one, so many are drawn at random.
    seeds : int
        The most seeds that an audit tries.
    """

    upload: int = 500 * MEGABYTE
    stored: int = 5_000 * MEGABYTE
    kept: float = 1800.0
    seconds: float = 600.0
    memory: int = 4 * 2**30
    at_once: int = os.cpu_count() or 1
    waiting: int = 50
    nets: int = 2_000
    seeds: int = 1_000_000
