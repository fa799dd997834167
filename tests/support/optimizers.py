"""The optimizer of a recipe as torch has it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weightspace.space import Recipe


class Lion(torch.optim.Optimizer):
    """The algorithm on page 4 of Chen et al. (2023); torch has none."""

    def __init__(self, tensors: list[Tensor], lr: float, betas: tuple[float, float], decay: float):
        super().__init__(tensors, {"lr": lr, "betas": betas, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            rate, (one, two), decay = group["lr"], group["betas"], group["decay"]
            for tensor in group["params"]:
                mean = self.state[tensor].setdefault("mean", torch.zeros_like(tensor))
                update = torch.sign(one * mean + (1 - one) * tensor.grad)
                tensor.sub_(rate * (update + decay * tensor))
                self.state[tensor]["mean"] = two * mean + (1 - two) * tensor.grad


def plain_optimizer(recipe: Recipe, net: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that a recipe names, with its numbers."""
    tensors, rate, decay = list(net.parameters()), recipe.learning_rate, recipe.weight_decay
    betas, own = (recipe.beta1, recipe.beta2), {"lr": recipe.learning_rate, "weight_decay": decay}
    match recipe.optimizer:
        case "adam":
            return torch.optim.Adam(tensors, betas=betas, eps=recipe.epsilon, **own)
        case "adamw":
            return torch.optim.AdamW(tensors, betas=betas, eps=recipe.epsilon, **own)
        case "rmsprop":
            return torch.optim.RMSprop(tensors, alpha=recipe.alpha, eps=recipe.epsilon, **own)
        case "adagrad":
            return torch.optim.Adagrad(tensors, eps=recipe.epsilon, **own)
        case "sgd":
            return torch.optim.SGD(tensors, **own)
        case "momentum" | "nesterov" as name:
            nesterov = name == "nesterov"
            return torch.optim.SGD(tensors, momentum=recipe.momentum, nesterov=nesterov, **own)
        case "lion":
            return Lion(tensors, rate, betas, decay)
    raise AssertionError(f"no plain counterpart of {recipe.optimizer}; write one here")
