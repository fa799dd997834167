"""How often `compare` is right about pairs of nets whose history is known.

Nets are trained by a plain PyTorch loop on real images, and kept in the folder `--out`; a second
run continues. Then pairs are compared, and the answers are counted by kind of pair:

    python benchmarks/kinship.py --out nets          # MNIST, Fashion-MNIST and CIFAR-10 are needed

The MLPs of seeds 0 and 1 set the thresholds; the table is that of all others.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

import weightspace.evidence
from weightspace.images import load

KINDS = {
    "mlp": ("mnist",),
    "lenet": ("mnist",),
    "cnn": ("cifar10",),
}
STEPS = {"mlp": 1000, "lenet": 200, "cnn": 40}
"""The steps of a base net."""
SEEDS = {"mlp": 10, "lenet": 8, "cnn": 8}
FULL = {"mlp": 10, "lenet": 4, "cnn": 4}
"""Seeds of which not only the base net is trained."""
OTHER = {"mnist": "fashion_mnist", "fashion_mnist": "mnist", "cifar10": "cifar10"}
RECIPES: dict[str, Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]] = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "gentle": lambda p: torch.optim.SGD(p, lr=0.02),
    "tune": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "tune-adam": lambda p: torch.optim.Adam(p, lr=3e-4),
}
IMAGES = 12_000
SETTING = {"mlp": (0, 1)}


def build(kind: str) -> nn.Sequential:
    if kind == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
            nn.Linear(64, 10),
        )  # fmt: skip
    if kind == "lenet":
        return nn.Sequential(
            nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
                   nn.ReLU(), nn.MaxPool2d(2)]  # fmt: skip
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, 10))


class Lab:
    """Trains nets and keeps them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def data(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        if name not in self._data:
            found = load(name)
            x = (
                torch.from_numpy(np.array(found.x_train[: 2 * IMAGES])).permute(0, 3, 1, 2).float()
                / 255
            )
            self._data[name] = (x - x.mean()) / x.std(), torch.from_numpy(np.array(found.y_train))
        return self._data[name]

    def net(
        self, kind: str, data: str, seed: int, recipe: str, steps: int, *, order: int = 0,
        start: Path | None = None, half: int = 0,
    ) -> Path:  # fmt: skip
        """The file of a net that was trained from a seed, or on from the net in `start`.

        `order` seeds the order of images; `half` is which 12,000 images are used.
        """
        origin = start.stem if start else f"{kind}-{data}-s{seed}"
        path = self.folder / f"{origin}-{recipe}-{data}{half}-o{order}-{steps}.pt"
        if path.exists():
            return path
        torch.manual_seed(seed)
        net = build(kind)
        if start:
            net.load_state_dict(torch.load(start, weights_only=True))
        optimizer = RECIPES[recipe](net.parameters())
        x, y = self.data(data)
        draw = torch.Generator().manual_seed(order)
        for step in range(steps):
            at = step % (IMAGES // 64)
            if at == 0:
                rows = torch.randperm(IMAGES, generator=draw) + half * IMAGES
            chosen = rows[64 * at : 64 * at + 64]
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
        torch.save(net.state_dict(), path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
        return path


def family(lab: Lab, kind: str, data: str, seed: int) -> dict[str, Path]:
    """The nets of one seed, by what they are."""
    full = STEPS[kind]
    base = lab.net(kind, data, seed, "momentum", full)
    found = {"base": base, "adam": lab.net(kind, data, seed, "adam", full, order=seed)}
    for share in (0.1, 1):
        found[f"again {share:g}"] = lab.net(
            kind, data, seed, "momentum", round(share * full), order=50 + seed
        )
    for order in (0, 50 + seed):
        found[f"gentle {min(order, 1)}"] = lab.net(kind, data, seed, "gentle", full, order=order)
    found["short"] = lab.net(kind, data, seed, "momentum", round(0.1 * full))
    for share in (0.1, 1):
        steps = round(share * full)
        found[f"tuned {share:g}"] = lab.net(
            kind, data, seed, "tune", steps, order=seed, start=base, half=1
        )
    found["tuned 1 by adam"] = lab.net(
        kind, data, seed, "tune-adam", full, order=seed, start=base, half=1
    )
    found["moved 1"] = lab.net(
        kind, OTHER[data], seed, "tune", full, order=seed, start=base, half=1
    )
    return found


def save(path: Path, state: dict[str, torch.Tensor]) -> Path:
    if not path.exists():
        torch.save(state, path)
    return path


def permuted(state: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """The same function with hidden units in another order."""
    draw = torch.Generator().manual_seed(seed)
    state = {name: value.clone() for name, value in state.items()}
    kernels = [name for name, value in state.items() if value.dim() > 1]
    for name, after in itertools.pairwise(kernels):
        order = torch.randperm(len(state[name]), generator=draw)
        names = list(state)
        for one in names[names.index(name) : names.index(after)]:
            if state[one].dim():
                state[one] = state[one][order]
        taken = state[after]
        parts = taken.reshape(len(taken), len(order), -1)
        state[after] = parts[:, order].reshape(taken.shape)
    return state


def quantised(value: torch.Tensor) -> torch.Tensor:
    """As int8 holds it, with a scale a unit; vectors stay."""
    if value.dim() < 2:
        return value
    scale = value.flatten(1).abs().amax(1).reshape(-1, *[1] * (value.dim() - 1)) / 127
    return (value / scale).round() * scale


def noisy(value: torch.Tensor, share: float) -> torch.Tensor:
    if value.dim() < 2:
        return value
    return value + share * value.std() * torch.randn(
        value.shape, generator=torch.Generator().manual_seed(1)
    )


def pruned(value: torch.Tensor) -> torch.Tensor:
    if value.dim() < 2:
        return value
    return torch.where(value.abs() > value.abs().median(), value, 0)


def made(lab: Lab, nets: dict[str, Path], other: Path, seed: int) -> Iterator[tuple[str, Path]]:
    """What is made of a base net without training."""
    base, tuned, third = (
        torch.load(path, weights_only=True) for path in (nets["base"], nets["tuned 1"], other)
    )
    stem = nets["base"].stem

    def kept(what: str, state: dict[str, torch.Tensor]) -> tuple[str, Path]:
        return what, save(lab.folder / f"{stem}+{what.replace(' ', '-')}.pt", state)

    def each(change: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
        return {k: change(v) if v.is_floating_point() else v for k, v in base.items()}

    yield kept("renamed", {f"model.backbone.{k}": v for k, v in base.items()})
    yield kept("bfloat16", each(lambda v: v.bfloat16()))
    yield kept("float16", each(lambda v: v.half()))
    yield kept("int8", each(quantised))
    yield kept("pruned by half", each(pruned))
    yield kept("noise of 5 %", each(lambda v: noisy(v, 0.05)))
    yield kept("noise of 30 %", each(lambda v: noisy(v, 0.3)))
    yield kept("permuted", permuted(base, seed))
    for what in ("tuned 0.1", "tuned 1", "moved 1", "again 1"):
        state = torch.load(nets[what], weights_only=True)
        yield kept(f"permuted, {what}", permuted(state, seed))
    half = {k: (v + tuned[k]) / 2 if v.is_floating_point() else v for k, v in base.items()}
    yield kept("mean with tuned 1", half)
    half = {k: (v + third[k]) / 2 if v.is_floating_point() else v for k, v in base.items()}
    yield kept("mean with another seed", half)
    last = [name for name, value in base.items() if value.dim() > 1][-1]
    torch.manual_seed(seed + 1000)
    yield kept("new head", base | {last: 0.05 * torch.randn(7, base[last].shape[1])})


def pairs(lab: Lab) -> Iterator[tuple[str, str, int, Path, Path]]:
    """Kind of net, what the pair is, seed, files."""
    for kind, names in KINDS.items():
        for data in names:
            nets = [
                family(lab, kind, data, seed)
                if seed < FULL[kind]
                else {"base": lab.net(kind, data, seed, "momentum", STEPS[kind])}
                for seed in range(SEEDS[kind])
            ]
            for (i, one), (j, other) in itertools.combinations(enumerate(nets), 2):
                yield kind, "unrelated", min(i, j), one["base"], other["base"]
                if "adam" in one and "adam" in other:
                    yield kind, "unrelated", min(i, j), one["adam"], other["adam"]
                    yield kind, "unrelated", min(i, j), one["base"], other["tuned 1"]
            for seed, found in enumerate(nets[: FULL[kind]]):
                base = found["base"]
                yield kind, "one seed, other optimizer", seed, base, found["adam"]
                yield kind, "one seed, other order", seed, base, found["again 1"]
                yield kind, "one seed, tenth as long", seed, base, found["again 0.1"]
                yield kind, "one seed, both short", seed, found["short"], found["again 0.1"]
                yield kind, "one seed, small steps", seed, found["gentle 0"], found["gentle 1"]
                for what in ("tuned 0.1", "tuned 1", "tuned 1 by adam", "moved 1"):
                    yield kind, what, seed, base, found[what]
                yield kind, "siblings: tuned 1, moved 1", seed, found["tuned 1"], found["moved 1"]
                for what, path in made(lab, found, nets[(seed - 1) % FULL[kind]]["base"], seed):
                    yield kind, what, seed, base, path


def strangers(folder: Path, most: int) -> Iterator[tuple[str, str, int, Path, Path]]:
    """Pairs of nets of different seeds, from a folder of NUMBER.pt and NUMBER.json."""
    told = {path: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    groups: dict[str, list[Path]] = {}
    for path, recipe in told.items():
        groups.setdefault(recipe["kind"], []).append(path)
    found = [pair for some in groups.values() for pair in itertools.combinations(some, 2)]
    for number in np.random.default_rng(0).permutation(len(found))[:most]:
        one, other = found[number]
        if told[one]["seed"] != told[other]["seed"]:
            what = "unrelated, other recipes"
            files = one.with_suffix(".pt"), other.with_suffix(".pt")
            yield told[one]["kind"], what, -1, *files


def measure(lab: Lab, more: Iterator[tuple[str, str, int, Path, Path]]) -> None:
    """Compare all pairs that are not yet in the list of answers."""
    listed = lab.folder / "answers.jsonl"
    with listed.open("a+", encoding="utf-8") as file:
        file.seek(0)
        known = {(one["first"], one["second"]) for one in map(json.loads, file)}
        for kind, what, seed, first, second in itertools.chain(pairs(lab), more):
            if (first.stem, second.stem) in known:
                continue
            start = time.process_time()
            found = weightspace.evidence.compare(first, second)
            row = {
                "kind": kind, "what": what, "seed": seed, "first": first.stem,
                "second": second.stem, "verdict": found.verdict, "permuted": found.permuted,
                "direction": found.direction, "p_value": found.p_value, "drift": found.drift,
                "alike": found.alike, "seconds": time.process_time() - start,
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
            file.flush()


def table(folder: Path) -> None:
    """Print how often each verdict was given, for seeds that set no threshold."""
    rows = [json.loads(line) for line in (folder / "answers.jsonl").open(encoding="utf-8")]
    rows = [row for row in rows if row["seed"] not in SETTING.get(row["kind"], ())]
    print("| pair | n | verdicts | drift | p, greatest |\n|---|---|---|---|---|")
    for what in dict.fromkeys(row["what"] for row in rows):
        some = [row for row in rows if row["what"] == what]
        counts = Counter(
            f"{row['verdict']}{', permuted' if row['permuted'] else ''}" for row in some
        )
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        drifts = [row["drift"] for row in some if row["drift"] is not None]
        drift = f"{min(drifts):.2g} to {max(drifts):.2g}" if drifts else ""
        ps = [row["p_value"] for row in some if row["p_value"] is not None]
        least = f"{min(ps):.1g} to {max(ps):.1g}" if ps else ""
        print(f"| {what} | {len(some)} | {verdicts} | {drift} | {least} |")
    seconds = [row["seconds"] for row in rows]
    print(f"\nseconds of processor time: median {np.median(seconds):.2f}, most {max(seconds):.2f}")


def main() -> None:
    asking = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asking.add_argument("--out", type=Path, required=True)
    asking.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    asking.add_argument("--others", type=Path, help="A folder of benchmarks/batch_norms.py train.")
    asked = asking.parse_args()
    torch.set_num_threads(1)
    for kind in set(KINDS) - set(asked.kinds):
        del KINDS[kind]
    asked.out.mkdir(exist_ok=True)
    more = strangers(asked.others, 300) if asked.others else iter(())
    measure(Lab(asked.out), more)
    table(asked.out)


if __name__ == "__main__":
    main()
