"""`Nets`: nets of one architecture as torch modules, to see what they do with images."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import nn

from weightspace.networks import Layout
from weightspace.networks.modules.plan import ModulePlan
from weightspace.networks.modules.tensors import everything
from weightspace.networks.planning import AnyPlan, plan_of
from weightspace.networks.sequential import sequential, state_dict
from weightspace.space import Recipe


class Nets:
    """Modules of one architecture, into which vectors are loaded.

    A module of one's own must be in the table of architectures (`sampling.modules`).

    Parameters
    ----------
    recipe : Recipe
        Any recipe of the population; its activation is replaced.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._plan: AnyPlan = plan_of(recipe)
        self._made = cache(self._make)

    @property
    def layout(self) -> Layout:
        """The layout of the vectors."""
        return self._plan.layout()

    def takes(self, layout: Layout) -> bool:
        """Whether a vector of this layout has the values of such a net, in the same order."""
        ours, theirs = (
            [(spec.role, spec.shape) for spec in one.tensors] for one in (self.layout, layout)
        )
        return ours == theirs

    def module(self, vector: np.ndarray, activation: str) -> nn.Module:
        """The net with the weights of a vector float32 [P] and an activation, in eval mode.

        The next call with this activation changes the same module.
        """
        net = self._made(activation)
        if isinstance(self._plan, ModulePlan):
            tensors, start = everything(net), 0
            with torch.no_grad():
                for piece in self._plan.shape.pieces:
                    if start == len(vector):
                        break  # what no layout holds keeps its own values
                    values = torch.from_numpy(np.array(vector[start : start + piece.size]))
                    tensors[piece.name].copy_(values.reshape(piece.shape))
                    start += piece.size
        else:
            net.load_state_dict(state_dict(self._recipe, vector), strict=False)
        return net.eval()

    def _make(self, activation: str) -> nn.Module:
        recipe = replace(self._recipe, activation=activation)
        if isinstance(self._plan, ModulePlan):
            plan = plan_of(recipe)
            assert isinstance(plan, ModulePlan)
            return plan.make()[0]
        return sequential(recipe)
