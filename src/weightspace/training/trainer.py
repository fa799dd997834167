"""`StackTrainer`: trains nets of one plan and batch size together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from weightspace.errors import UsageError
from weightspace.networks import Layout
from weightspace.networks.arithmetic import arithmetic_of, shape_of
from weightspace.networks.batch import Images, Masks, Step
from weightspace.networks.initializations import initial_vector
from weightspace.networks.modules.plan import ModulePlan
from weightspace.networks.native import NativeStack
from weightspace.networks.planning import plan_of
from weightspace.progress import Progress, silent
from weightspace.space import Recipe
from weightspace.training import streams
from weightspace.training.batches import Batches
from weightspace.training.dropping import masks_of
from weightspace.training.evaluation import evaluate
from weightspace.training.names import TABLES, unknown
from weightspace.training.optimizers import OPTIMIZERS
from weightspace.training.outcome import Outcome, Snapshot, is_dead
from weightspace.training.pool import Pool
from weightspace.training.schedule import Course, Moment
from weightspace.training.updating import Updating, neighbours


class StackTrainer:
    """Trains recipes of one plan and batch size together, each as if it were alone.

    Parameters
    ----------
    recipes : sequence of Recipe
        The nets to train; all have the same plan and batch size.
    pool : Pool
        The images of the data sets that the recipes name.
    snapshots : int or sequence of float
        The number of snapshots of a net, at equal fractions of its training, or the epochs after
        which they are taken.
    evaluation_images : int
        The most training, validation and test images each that measure a snapshot.
    dtype : torch.dtype
        float32. Tests use float64 to compare with other implementations beyond rounding.

    Attributes
    ----------
    outcomes : list of Outcome
        How each net ended, after `run`.

    Raises
    ------
    UsageError
        If the recipes differ in plan or batch size, or name something that is unknown.

    Examples
    --------
    >>> from weightspace.images import load
    >>> from weightspace.space import Recipe
    >>> digits = load("digits")
    >>> recipe = Recipe(dataset="digits", input_size=8, channels=1, outputs=10, width_conv=2,
    ...                 width_fc=4, epochs=1)
    >>> trainer = StackTrainer([recipe], Pool.of({"digits": digits}), snapshots=2)
    >>> [snapshot.number for snapshot in trainer.run()]
    [1, 2]
    >>> trainer.outcomes[0].steps
    18
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        pool: Pool,
        *,
        snapshots: int | Sequence[float] = 20,
        dtype: torch.dtype = torch.float32,
        evaluation_images: int = 500,
    ) -> None:
        for recipe in recipes:
            for field in TABLES:
                if reason := unknown(field, getattr(recipe, field)):
                    raise UsageError(f"net {recipe.net}", f"{field}: {reason}")
        self.recipes = sorted(recipes, key=neighbours)
        self.plan = plan_of(recipes[0])
        for recipe in recipes:
            if plan_of(recipe) != self.plan or recipe.batch_size != recipes[0].batch_size:
                raise UsageError(
                    f"net {recipe.net}", "differs in plan or batch size from its stack"
                )
        self.shape = shape_of(self.plan)
        self.device, self.dtype = pool.images.device, dtype
        self.batches = Batches(self.recipes, pool, dtype, evaluation_images)
        activations = [r.activation for r in recipes]
        self.arithmetic = arithmetic_of(self.plan, activations, dtype, self.device)
        # As many states are evaluated at once as nets train at once; a net may have several.
        self.most = len(self.recipes)
        self._begin(snapshots)
        self._derive()

    def _begin(self, snapshots: int | Sequence[float]) -> None:
        """Set the state before the first step: everything that training changes, and nothing else.

        Everything else follows from it and from the recipes (`_derive`, `batches`). M is the number
        of nets that are still training, in the order of `recipes`; `keep` drops the others.
        """
        nets, epochs = len(self.recipes), self.batches.steps_per_epoch.tolist()
        slots = max(OPTIMIZERS[r.optimizer].slots for r in self.recipes)
        self.step = 0
        self.weights, self.stats = self._initial(self.recipes)  # [M, n], per statistic [M x width]
        self.slots = [torch.zeros_like(self.weights) for _ in range(slots)]  # the optimizers'
        # Moving averages of weights and running statistics, if any net has one.
        averaged = any(r.ema for r in self.recipes)
        self.averages = [t.clone() for t in (self.weights, *self.stats)] if averaged else []
        # [M, 3]: sums over all batches so far of loss, accuracy and 1.
        self.seen = torch.zeros(nets, 3, dtype=torch.float64, device=self.device)
        self.broke = torch.full((nets,), -1, device=self.device)  # the step of a divergence, or -1
        self.courses = [
            Course.of(r, n, snapshots) for r, n in zip(self.recipes, epochs, strict=True)
        ]
        self.outcomes: list[Outcome] = []  # of the nets that are done

    @property
    def layout(self) -> Layout:
        """The layout of every vector that `run` yields."""
        return self.shape.layout

    def run(
        self, progress: Progress = silent, between: Callable[[], None] = lambda: None
    ) -> Iterator[Snapshot]:
        """Train to the end.

        Parameters
        ----------
        progress : callable, optional
            Called as `progress(task, done, total)` while it works.
        between : callable, optional
            Called without arguments after every step; the state can be saved there
            (`weightspace.training.state_of`).

        Yields
        ------
        Snapshot
            The snapshots of each net in order, as soon as they are decided.
        """
        total = sum(course.expected for course in self.courses)
        done = 0
        progress("train", self._steps_done(), total)  # more than 0 where a state was restored
        while self.recipes:
            due = [i for i, course in enumerate(self.courses) if course.due(self.step)]
            if due:
                yield from self._look(due)
                done += self._retire()
            if not self.recipes:
                break
            self.train_step()
            between()
            if self.step % 20 == 0:
                progress("train", done + self._steps_done(), total)
        progress("train", total, total)

    def _steps_done(self) -> float:
        """Steps behind the nets that still train, each as many as were expected at most."""
        return sum(min(self.step, course.expected) for course in self.courses)

    def _initial(self, recipes: Sequence[Recipe]) -> tuple[Tensor, list[Tensor]]:
        """Weights and running statistics before the first step."""
        key = streams.keys(torch.tensor([r.seed for r in recipes]), "initialization", 0)
        numbers = streams.uniform(key, self.layout.size)
        vectors = [
            self.plan.initial(recipe, u)
            if isinstance(self.plan, ModulePlan)
            else initial_vector(self.layout, recipe.initialization, u)
            for recipe, u in zip(recipes, numbers, strict=True)
        ]
        return self.shape.split(torch.stack(vectors).to(self.device, self.dtype))

    def _derive(self) -> None:
        """Set everything that follows from the nets in the stack."""

        def column(name: str) -> Tensor:
            values = [float(getattr(r, name)) for r in self.recipes]
            return torch.tensor(values, dtype=self.dtype, device=self.device).unsqueeze(1)

        self.activations = [r.activation for r in self.recipes]
        self.updating = Updating(self.recipes, self.batches.steps_per_epoch, self.weights)
        self.smoothing = column("label_smoothing")
        self.dropout = {name: column(name) for name in ("dropout", "dropout_conv")}
        self.dropping = {name for name, rate in self.dropout.items() if bool(rate.any())}

    @torch.no_grad()
    def train_step(self) -> None:
        """Do one training step of every net in the stack."""
        images, labels = self.batches.at(self.step)
        found = self._changed(images, labels)
        self.step += 1
        if self.averages:
            self.updating.follow(self.averages, [self.weights, *self.stats])
        # Checked after every step, so that the result does not depend on the other nets.
        self._mark_broken(torch.isfinite(found.loss) & self.updating.sound(self.weights))
        self.seen += torch.stack([found.nll, found.correct, torch.ones_like(found.nll)], 1)

    def _changed(self, images: Images, labels: Tensor) -> Step:
        """Change weights, slots and statistics; returns the losses before that."""
        if isinstance(self.arithmetic, NativeStack) and self.batches.counts(self.step) is None:
            updates = self.updating.at_once(self.slots, self.step)
            if updates is not None:
                rest = (self.activations, self.smoothing, self.masks(), updates)
                return self.arithmetic.gradient(images, labels, self.weights, self.stats, *rest)
        found = self._gradient(images, labels)
        self.updating.apply(self.weights, found.gradient, self.slots, self.step)
        return found

    def _gradient(self, images: Images, labels: Tensor) -> Step:
        """Losses and gradients; nets whose last batch of an epoch is smaller are computed apart."""
        masks, counts = self.masks(), self.batches.counts(self.step)
        if counts is None:
            rest = (self.activations, self.smoothing, masks)
            return self.arithmetic.gradient(images, labels, self.weights, self.stats, *rest)
        out = Step(torch.empty_like(self.weights), *self.seen.new_empty(3, len(counts)).unbind())
        for count in counts.unique().tolist():
            rows = (counts == count).nonzero().squeeze(1)
            stats = self._some(self.stats, rows)
            found = self.arithmetic.gradient(
                images.of(rows, count),
                labels[rows, :count],
                self.weights[rows],
                stats,
                [self.activations[i] for i in rows.tolist()],
                self.smoothing[rows],
                self._own_masks(self.batches.seeds[rows], count)
                if isinstance(self.plan, ModulePlan)
                else [mask if mask is None else mask[rows, :count] for mask in masks],
            )
            for whole, some in zip(self.stats, stats, strict=True):
                whole.view(len(counts), -1)[rows] = some.view(len(rows), -1)
            for name in ("gradient", "loss", "nll", "correct"):
                getattr(out, name)[rows] = getattr(found, name)
        return out

    def masks(self) -> Masks:
        """The factors of every dropout layer.

        A value is dropped if its 16-bit random number is below rate x 65536.

        Returns
        -------
        list of torch.Tensor, shape (M, B, values), or None
            0 or 1 / (1 - rate). None if no net drops anything.
        """
        if isinstance(self.plan, ModulePlan):
            return self._own_masks(self.batches.seeds, self.batches.batch_size)
        dropouts, batch = self.plan.dropouts, self.batches.batch_size
        if not any(name in self.dropping for _, name in dropouts):
            return [None] * len(dropouts)
        key = streams.keys(self.batches.seeds, "dropout", self.step)
        numbers = streams.uniform16(key, batch * sum(width for width, _ in dropouts))
        masks: Masks = []
        at = 0
        for width, name in dropouts:
            rate, piece = self.dropout[name], numbers[:, at : at + batch * width]
            kept = (piece >= (rate * 65536 - 32768)).to(self.dtype) / (1 - rate)
            masks.append(kept.view(-1, batch, width))
            at += batch * width
        return masks

    def _own_masks(self, seeds: Tensor, count: int) -> Masks:
        """The random numbers of a module's step on so many images."""
        assert isinstance(self.plan, ModulePlan)
        return [*masks_of(self.plan, seeds, self.step, count, self.dtype)]

    def _mark_broken(self, sound: Tensor) -> None:
        """Note the first step after which a net was not `sound`, bool [M]."""
        self.broke.masked_fill_(~sound & (self.broke < 0), self.step)

    @torch.no_grad()
    def _look(self, due: list[int]) -> Iterator[Snapshot]:
        """Update the stopping rules, keep states, and return the snapshots that are now decided."""
        self._listen([i for i in due if self.courses[i].watched(self.step)])
        moments = self._moments([i for i in due if self.courses[i].kept(self.step)])
        ready: list[tuple[int, Moment]] = []
        for i, (course, broke) in enumerate(zip(self.courses, self.broke.tolist(), strict=True)):
            if broke >= 0:
                ready += [(i, moment) for moment in course.close()]
            elif i in moments:
                ready += [(i, moment) for moment in course.take(moments[i])]
        for first in range(0, len(ready), self.most):
            yield from self._snapshots(ready[first : first + self.most])

    def _listen(self, nets: list[int]) -> None:
        """Give the stopping rules of `nets` their validation accuracies."""
        if not nets or self.batches.watched is None:
            return
        rows = torch.tensor(nets, device=self.device)
        held, recipes = self.batches.watched.keep(rows), [self.recipes[i] for i in nets]
        values = self._shown(rows)
        affine = self.batches.affine_of(rows)
        _, accuracy = evaluate(self.arithmetic, self.batches.pool, held, recipes, *values, affine)
        for i, value in zip(nets, accuracy, strict=True):
            self.courses[i].hear(value)

    def _moments(self, nets: list[int]) -> dict[int, Moment]:
        """The current states of `nets`, each with its position in the stack."""
        if not nets:
            return {}
        rows = torch.tensor(nets, device=self.device)
        vectors = self.shape.join(*self._shown(rows)).float()
        sound = torch.ones_like(self.broke, dtype=torch.bool)
        sound[rows] = torch.isfinite(vectors).all(1)  # running statistics may overflow first
        self._mark_broken(sound)
        seen = self.seen[rows].tolist()
        return {
            i: Moment(self.step, vector, tuple(sums))
            for i, vector, sums in zip(nets, vectors.cpu().numpy(), seen, strict=True)
        }

    def _snapshots(self, ready: list[tuple[int, Moment]]) -> list[Snapshot]:
        """Evaluate states of nets, each with its net's position in the stack."""
        rows = torch.tensor([i for i, _ in ready], device=self.device)
        recipes = [self.recipes[i] for i, _ in ready]
        vectors = torch.from_numpy(np.stack([moment.vector for _, moment in ready]))
        values = self.shape.split(vectors.to(self.device, self.dtype))
        columns: dict[str, list[float]] = {}
        for of, held in self.batches.held.items():
            own = (held.keep(rows), recipes, *values, self.batches.affine_of(rows))
            found = evaluate(self.arithmetic, self.batches.pool, *own)
            columns[f"{of}_loss"], columns[f"{of}_accuracy"] = found
        epochs = self.batches.steps_per_epoch[rows].tolist()
        snapshots = []
        for row, (i, moment) in enumerate(ready):
            metrics = {name: column[row] for name, column in columns.items()}
            course = self.courses[i]
            batch = course.give(moment, metrics["test_accuracy"])
            metrics |= dict(zip(("batch_loss", "batch_accuracy"), batch, strict=True))
            snapshots.append(
                Snapshot(
                    recipes[row].net,
                    course.given,
                    moment.step,
                    moment.step / epochs[row],
                    moment.vector[: self.layout.size],  # a module has values that no layout holds
                    metrics,
                )
            )
        return snapshots

    def _retire(self) -> int:
        """Remove finished and diverged nets from the stack; returns their remaining steps."""
        keep, steps = [], 0
        for i, (course, broke) in enumerate(zip(self.courses, self.broke.tolist(), strict=True)):
            if broke < 0 and not course.ended(self.step):
                keep.append(i)
                continue
            self.outcomes.append(self._outcome(i, broke))
            steps += course.expected
        if len(keep) < len(self.recipes):
            self.keep(keep)
        return steps

    def _outcome(self, i: int, broke: int) -> Outcome:
        recipe = self.recipes[i]
        if broke >= 0:
            return Outcome(recipe.net, broke, broke, dead=False, converged=False)
        course, (first, _) = self.courses[i], self._initial([recipe])
        labels = self.batches.held["test"].labels_of(i)
        dead = is_dead(first[0], self.weights[i], course.accuracy, labels)
        return Outcome(recipe.net, self.step, None, dead, course.converged)

    def _shown(self, rows: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What snapshots of the nets at `rows` hold: the averages, where a net has them."""
        if not self.averages:
            return self.weights[rows], self._some(self.stats, rows)
        # A factor of 0 makes the average the value itself.
        weights, *stats = self.averages
        return weights[rows], self._some(stats, rows)

    def _some(self, stats: list[Tensor], rows: Tensor) -> list[Tensor]:
        """The statistics of the nets at `rows`."""
        return [s.view(len(self.recipes), -1)[rows].reshape(-1) for s in stats]

    def keep(self, keep: list[int]) -> None:
        """Remove every net from the stack except some.

        Parameters
        ----------
        keep : list of int
            Positions in the stack.
        """
        rows = torch.tensor(keep, dtype=torch.long, device=self.device)
        if self.averages:
            first, *rest = self.averages
            self.averages = [first[rows], *self._some(rest, rows)]
        self.stats = self._some(self.stats, rows)
        self.slots = [slot[rows] for slot in self.slots]
        self.weights, self.seen, self.broke = self.weights[rows], self.seen[rows], self.broke[rows]
        self.courses = [self.courses[i] for i in keep]
        self.recipes = [self.recipes[i] for i in keep]
        self.batches.keep(rows)
        if keep:
            self._derive()
