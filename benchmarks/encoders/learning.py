"""`Learner`: a network as an encoder; the training that all networks here share.

A network is one trunk that reads nets, and a linear head for each target. It is trained on most
nets with AdamW. After each epoch its losses on the nets set aside are measured, one for each
target. A target is later answered with the weights of its best epoch. The training ends when no
target has become better for some epochs, at the last epoch, or when the time is over.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

_ASIDE = 0.15
_AT_ONCE = 64
"""The nets that are read at once without training."""


class Learner:
    """A network as an encoder. Its kinds say how nets are prepared and what the trunk is."""

    name = about = ""
    epochs = 100
    patience = 20
    size = 32
    rate = 2e-3
    decay = 0.05
    dropout = 0.2

    def prepare(self, rows):
        """Nets in a form with `len` and `batch(chosen, rng)`, which gives what the trunk reads.

        `chosen` are positions. `rng` is None if no chance may be involved.
        """
        raise NotImplementedError

    def build(self, nets):
        """A module that maps a batch to features [n, width], with the attribute `width`."""
        raise NotImplementedError

    def fit(self, rows, targets, *, seed, seconds):
        """Learn targets; see `weightspace.bench.Encoder`."""
        start = time.process_time()
        nets, aside = self.prepare(rows), rows.set_aside(_ASIDE, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            aims = [_Aim(one, ~aside) for one in targets]
            network = _Network(self.build(nets), aims, self.dropout)
            best = _Training(self, network, aims, nets, seed, start + seconds).run(aside)
        return lambda others: _read(network, aims, best, self.prepare(others))


class _Aim:
    """A target as tensors: classes weigh the same, numbers have mean 0 and deviation 1."""

    def __init__(self, target, taught):
        self.count = len(target.levels)
        if self.count:
            found = np.bincount(target.values[taught], minlength=self.count)
            weight = np.where(found, found.sum() / np.maximum(found, 1) / self.count, 0)
            self.weight = torch.tensor(weight, dtype=torch.float32)
            self.values = torch.from_numpy(target.values)
        else:
            self.mean = target.values[taught].mean()
            self.spread = target.values[taught].std() + 1e-12
            scaled = (target.values - self.mean) / self.spread
            self.values = torch.tensor(scaled, dtype=torch.float32)

    def loss(self, scores, chosen):
        if self.count:
            return F.cross_entropy(scores, self.values[chosen], self.weight)
        return F.mse_loss(scores[:, 0], self.values[chosen])

    def answers(self, scores):
        if self.count:
            return F.log_softmax(scores.double(), dim=1).numpy()
        return scores[:, 0].double().numpy() * self.spread + self.mean


class _Network(nn.Module):
    def __init__(self, trunk, aims, dropout):
        super().__init__()
        self.trunk, self.sizes = trunk, [one.count or 1 for one in aims]
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(trunk.width, sum(self.sizes))

    def forward(self, batch):
        """The scores for each target."""
        return self.heads(self.dropout(self.trunk(batch))).split(self.sizes, dim=1)


class _Clock:
    """Says when a step that takes as long as the longest so far would end too late."""

    def __init__(self, stop):
        self._start = self._last = time.process_time()
        self._stop, self._longest = stop, 0.0

    def over(self):
        now = time.process_time()
        self._longest, self._last = max(self._longest, now - self._last), now
        return now + self._longest > self._stop

    def share(self):
        """The share of the time that is spent; 0 if it is endless."""
        return (self._last - self._start) / max(self._stop - self._start, 1e-9)


@dataclass
class _Best:
    """The best weights for one target, with their loss and epoch."""

    loss: float = math.inf
    epoch: int = 0
    weights: dict | None = None


class _Training:
    def __init__(self, learner, network, aims, nets, seed, stop):
        self.learner, self.network, self.aims, self.nets = learner, network, aims, nets
        self.rng, self.clock = np.random.default_rng(seed), _Clock(stop)
        self.optimizer = torch.optim.AdamW(
            network.parameters(), learner.rate, weight_decay=learner.decay
        )

    def run(self, aside):
        """Train; the best weights for each target, judged by the nets set aside."""
        taught, aside = np.flatnonzero(~aside), np.flatnonzero(aside)
        best = [_Best() for _ in self.aims]
        for epoch in range(self.learner.epochs):
            if not self._pass(epoch, self.rng.permutation(taught)):
                break
            scores = _scores(self.network, self.nets, aside)
            weights = copy.deepcopy(self.network.state_dict())
            for k, aim in enumerate(self.aims):
                loss = float(aim.loss(scores[k], aside))
                if loss < best[k].loss:
                    best[k] = _Best(loss, epoch, weights)
            if epoch - max(one.epoch for one in best) >= self.learner.patience:
                break
        last = self.network.state_dict()  # if there was no time for one epoch
        return [one.weights or last for one in best]

    def _pass(self, epoch, order):
        """Train on all nets once; whether there was time for it, and for the nets set aside."""
        parts = np.array_split(order, max(1, len(order) // self.learner.size))
        self.network.train()
        for i, chosen in enumerate(parts):
            if self.clock.over():
                return False
            done = max((epoch + i / len(parts)) / self.learner.epochs, self.clock.share())
            self.optimizer.param_groups[0]["lr"] = self.learner.rate * _pace(done)
            scores = self.network(self.nets.batch(chosen, self.rng))
            losses = [aim.loss(own, chosen) for aim, own in zip(self.aims, scores, strict=True)]
            self.optimizer.zero_grad(set_to_none=True)
            torch.stack(losses).mean().backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
        return not self.clock.over()


def _pace(done):
    """The learning rate as a share of the highest: a short rise, then half a cosine."""
    return min(1.0, 0.1 + 30 * done) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


@torch.no_grad()
def _scores(network, nets, chosen):
    """The scores of the chosen nets for each target."""
    network.eval()
    parts = np.array_split(chosen, max(1, -(-len(chosen) // _AT_ONCE)))
    found = [network(nets.batch(part, None)) for part in parts]
    return [torch.cat(own) for own in zip(*found, strict=True)]


def _read(network, aims, best, nets):
    """The answers of each target with its best weights; equal weights read only once."""
    scores = {}
    for weights in best:
        if id(weights) not in scores:
            network.load_state_dict(weights)
            scores[id(weights)] = _scores(network, nets, np.arange(len(nets)))
    own = [scores[id(weights)][k] for k, weights in enumerate(best)]
    return [aim.answers(one) for aim, one in zip(aims, own, strict=True)]
