"""Nets of a zoo that are trained on, by a plain PyTorch loop; `altered_readings.py` reads them.

    python benchmarks/tuned_readings.py ZOO NET FOLDER

writes what becomes of one net, as vectors (.npy). The optimizer is that of the net, at its own
learning rate, or another one at its usual rate. The images are those of the net, or of the next
data set of its space. The steps go up to 100 % of those of the training.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

import weightspace
from weightspace.images import load, resize
from weightspace.networks.sequential import sequential, state_dict
from weightspace.space import Recipe

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""How long nets are fine-tuned, in units of their training."""
USUAL = {"adam": 0.001, "rmsprop": 0.001, "momentum": 0.01}
OTHER = {"adam": "momentum", "rmsprop": "momentum", "momentum": "adam"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zoo")
    parser.add_argument("net")
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name, vector in tuned(weightspace.Zoo(asked.zoo), asked.net, 1):
        np.save(asked.folder / f"{name}.npy", vector)
        print(name)


def tuned(zoo: weightspace.Zoo, net: str, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """What a net becomes: the name of each alteration, and the vector, float32."""
    row = zoo.nets.filter(net=net).row(0, named=True)
    recipe = Recipe.from_dict({name: row[name] for name in Recipe.__dataclass_fields__})
    levels = [str(one) for one in zoo.space.values("dataset")]
    moved = levels[(levels.index(recipe.dataset) + 1) % len(levels)]
    total = int(row["steps"])
    counts = {max(1, round(share * total)): share for share in SHARES}
    for optimizer in (recipe.optimizer, OTHER[recipe.optimizer]):
        same = optimizer == recipe.optimizer
        rate = recipe.learning_rate if same else USUAL[optimizer]
        for dataset in (recipe.dataset, moved):
            how = f"{'same' if same else 'other'} optimizer, "
            how += f"{'same' if dataset == recipe.dataset else 'other'} images"
            generator = np.random.default_rng(seed)
            states = _train(recipe, zoo.vector(net), dataset, optimizer, rate, counts, generator)
            for steps, vector in states:
                yield f"{100 * counts[steps]:.0f} %, {how}", vector


def _train(
    recipe: Recipe, vector: np.ndarray, dataset: str, optimizer: str, rate: float,
    counts: dict[int, float], rng: np.random.Generator,
) -> Iterator[tuple[int, np.ndarray]]:  # fmt: skip
    net = sequential(recipe)
    start = state_dict(recipe, vector)
    net.load_state_dict(start, strict=False)
    net.train()
    x, y = _images(recipe, dataset)
    made = {
        "adam": lambda: torch.optim.Adam(net.parameters(), lr=rate),
        "rmsprop": lambda: torch.optim.RMSprop(net.parameters(), lr=rate),
        "momentum": lambda: torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9),
    }[optimizer]()
    order: list[int] = []
    for step in range(1, max(counts) + 1):
        if len(order) < recipe.batch_size:
            order = rng.permutation(len(x)).tolist()
        chosen, order = order[: recipe.batch_size], order[recipe.batch_size :]
        made.zero_grad()
        cross_entropy(net(x[chosen]), y[chosen]).backward()
        made.step()
        if step in counts:
            found = net.state_dict()
            yield step, np.concatenate([found[name].numpy().ravel() for name in start])


def _images(recipe: Recipe, dataset: str) -> tuple[torch.Tensor, torch.Tensor]:
    images = load(dataset)
    x = resize(images.x_train[: recipe.train_images], *recipe.size)
    y = torch.from_numpy(images.y_train[: recipe.train_images])
    return torch.from_numpy(x).permute(0, 3, 1, 2).float().contiguous() / 255, y


if __name__ == "__main__":
    main()
