"""The stopping rule of the NWS data set: whether validation accuracy has stopped rising."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_EPOCHS = 20
FALLS, BELOW, STILL = 5, 30, 30
ROUNDING = 1e-8


@dataclass
class Convergence:
    """The rule's memory of one net's validation accuracies, one after every epoch.

    The accuracy after e epochs is a(e); a(0) is the accuracy before the first step. The smoothed
    accuracy is s(0) = a(0) and s(e) = (s(e - 1) + a(e)) / 2. The net has converged after the first
    epoch e >= 20 at which one of three counters reaches its limit:

    - `falls`, limit 5: counts a(e) < a(e - 1); a rise resets it, an equal accuracy leaves it;
    - `below`, limit 30: counts a(e) < s(e) - 1e-8; nothing resets it;
    - `still`, limit 30: counts a(e) = a(e - 1); anything else resets it.

    This is the rule of the published data set (Eilertsen et al., ECAI 2020), which begins to apply
    it one epoch earlier, at the 20th evaluation, including the one before the first step.
    """

    epochs: int = -1
    accuracy: float = 0.0
    smoothed: float = 0.0
    falls: int = 0
    below: int = 0
    still: int = 0

    def hear(self, accuracy: float) -> bool:
        """Add the next epoch's validation accuracy, from a(0) on; whether the net converged."""
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
