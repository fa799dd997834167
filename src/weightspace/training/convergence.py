"""The NWS data set's stopping rule: when a net's validation accuracy has stopped rising."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_EPOCHS = 20
FALLS, BELOW, STILL = 5, 30, 30
ROUNDING = 1e-8


@dataclass
class Convergence:
    """What the rule remembers of one net's validation accuracies, one after every epoch.

    The accuracy after e epochs is a(e), a(0) that before the first step; the smoothed accuracy is
    s(0) = a(0) and s(e) = (s(e - 1) + a(e)) / 2. The net has converged after the first epoch
    e >= 20 at which one of three counts is full:

    - `falls`, 5: a(e) < a(e - 1) counts, a rise sets back to 0, an equal accuracy does neither;
    - `below`, 30: a(e) < s(e) - 1e-8 counts, and nothing sets it back;
    - `still`, 30: a(e) = a(e - 1) counts, anything else sets back to 0.

    The rule is that of the published data set (Eilertsen et al., ECAI 2020), which starts to
    apply it one epoch earlier, at its 20th look, the one before the first step included.
    """

    epochs: int = -1
    accuracy: float = 0.0
    smoothed: float = 0.0
    falls: int = 0
    below: int = 0
    still: int = 0

    def hear(self, accuracy: float) -> bool:
        """Take the next epoch's validation accuracy, a(0) first; whether the net has converged."""
        self.epochs += 1
        before, self.accuracy = self.accuracy, accuracy
        if self.epochs == 0:
            self.smoothed = accuracy
            return False
        self.smoothed = (self.smoothed + accuracy) / 2
        self.falls = self.falls + 1 if accuracy < before else self.falls * (accuracy == before)
        self.below += accuracy < self.smoothed - ROUNDING
        self.still = self.still + 1 if accuracy == before else 0
        full = self.falls >= FALLS or self.below >= BELOW or self.still >= STILL
        return full and self.epochs >= LEAST_EPOCHS
