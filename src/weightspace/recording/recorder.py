"""`Recorder`: records the runs of one's own training loops into a zoo."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightspace.errors import UsageError
from weightspace.recording import settings, stories
from weightspace.recording.callbacks import Session
from weightspace.recording.journal import Journal, Listener
from weightspace.recording.live import Live
from weightspace.recording.moments import marks_of
from weightspace.recording.recipes import known
from weightspace.recording.register import Register
from weightspace.recording.run import Run
from weightspace.recording.stories import Story
from weightspace.recording.vectors import Vectors
from weightspace.recording.weights import weights_of
from weightspace.zoo import Writer
from weightspace.zoo.files import places
from weightspace.zoo.format.layouts import read_layout

if TYPE_CHECKING:
    from weightspace.meta import Model
    from weightspace.networks import Layout


class Recorder:
    """Records training runs into a zoo: snapshots of the weights, metrics, and the recipe.

    Any number of processes can record into one zoo at the same time. A run is in the zoo when it
    has ended. Until then its snapshots are kept beside it, and survive a kill at any moment.

    Parameters
    ----------
    path : str or Path
        The folder of the zoo. The first run makes it.
    recipe : mapping, optional
        What is known of all runs: hyper-parameters of a `Recipe`, such as `dataset` and
        `batch_size`, and facts with names of your own (a line of text, a number or a switch), which
        become columns of the table of nets. What is left out is unknown.
    snapshots : int or sequence of int
        The number of snapshots of a run, at equal fractions of its steps, with the start and the
        end; or their steps.
    total_steps : int, optional
        How many steps a run makes. The callbacks of libraries know it.
    live : Model, str or Path, optional
        A fitted model, or its folder. At each snapshot, a line says what the model reads off the
        weights, and in brackets what is true, as far as it is known.
    say : callable
        Is called with each line of `live`, in a thread of the recorder.
    dtype : {"float32", "bfloat16"}
        How values are stored.

    Raises
    ------
    UsageError
        If a value is not possible.
    DataError
        If the model for `live` cannot be read.

    Examples
    --------
    >>> import tempfile, torch, weightspace
    >>> net = torch.nn.Linear(20, 2)
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     recorder = Recorder(f"{folder}/zoo", {"dataset": "noise"}, total_steps=100)
    ...     with recorder.run(net, optimizer=optimizer, seed=0) as run:
    ...         for _ in range(100):
    ...             loss = net(torch.randn(8, 20)).square().mean()
    ...             optimizer.zero_grad()
    ...             loss.backward()
    ...             optimizer.step()
    ...             taken = run.step(loss=loss)
    ...     nets = weightspace.Zoo(f"{folder}/zoo").nets
    >>> nets.select("optimizer", "learning_rate", "dataset", "steps").row(0)
    ('sgd', 0.1, 'noise', 100)
    """

    def __init__(
        self,
        path: str | Path,
        recipe: Mapping[str, Any] | None = None,
        *,
        snapshots: int | Sequence[int] = 20,
        total_steps: int | None = None,
        live: Model | str | Path | None = None,
        say: Callable[[str], None] = print,
        dtype: str = "float32",
    ) -> None:
        self.path = Path(path)
        self._register = Register(self.path, dtype)
        self._recipe = dict(recipe or {})
        known(self._recipe, {})
        self._snapshots, self._total = snapshots, total_steps
        if total_steps is not None or not isinstance(snapshots, int):
            marks_of(snapshots, total_steps)
        self._live = None if live is None else Live(live, say)

    def run(
        self,
        model: Any,
        *,
        name: str | None = None,
        optimizer: Any = None,
        scheduler: Any = None,
        step: int | None = None,
        total_steps: int | None = None,
        **recipe: Any,
    ) -> Run:
        """Begin a run, or continue one that was stopped.

        Kind, learning rate, weight decay, momentum and so on are read off the optimizer and the
        scheduler.

        Parameters
        ----------
        model : torch.nn.Module or keras.Model
            The model that is trained. Its vectors are those of a checkpoint of it.
        name : str, optional
            The name of the net in the zoo, 1 to 64 letters, digits, dots and hyphens; by default a
            random one. To continue a run, give its name.
        optimizer, scheduler : optional
            Those of the run, of torch or Keras.
        step : int, optional
            How many steps the model has made already. A run that was stopped continues from there,
            with the weights that you have restored. Snapshots that were kept stay as they are.
        total_steps : int, optional
            As for the recorder.
        **recipe
            What is known of this run, in addition to what is known of all, such as `seed=3`.

        Returns
        -------
        Run
            For a `with` block. Call `Run.step` after each step of the optimizer.

        Raises
        ------
        UsageError
            If there is a run of that name, or another process is recording it; if a value is not
            possible, or contradicts the optimizer.
        DataError
            If the folder cannot be written, or no tensor of the model can be used.
        """
        read = settings.of_optimizer(optimizer) | settings.of_scheduler(scheduler)
        return self.begin(model, name, read, step, total_steps, recipe)

    def begin(
        self,
        model: Any,
        name: str | None,
        read: Mapping[str, Any],
        step: int | None,
        total_steps: int | None,
        told: Mapping[str, Any],
    ) -> Run:
        """As `run`, where the recipe was read off other objects; for callbacks of libraries.

        Parameters
        ----------
        model, name, step, total_steps
            As for `run`.
        read : mapping
            What the objects of the run say of the recipe.
        told : mapping
            What the user says of it.

        Returns
        -------
        Run
        """
        if name is not None and not places.is_net(name):
            raise UsageError(f"run {name!r}", "use 1 to 64 letters, digits, dots and hyphens")
        name = name or f"run-{secrets.token_hex(5)}"
        total = self._total if total_steps is None else total_steps
        weights = weights_of(model)
        with self._register.alone() as writer:
            story = stories.find(writer, name)
            if story is not None:
                story = stories.continued(story, step, total, told)
                vectors = Vectors(weights, story["recipe"])
                _refuse_other_layout(story, vectors.layout)
            else:
                about = known({"model": type(model).__name__} | self._recipe | dict(told), read)
                marks = marks_of(self._snapshots, total)
                vectors = Vectors(weights, about.recipe)
                index = self._register.enter(writer, about, len(marks))
                story = stories.begun(name, about, marks, total)
                story = stories.numbered(story, index, vectors.layout)
            stack = stories.opened(writer, story, vectors.layout)
        journal = Journal(stack, story, vectors, self._listener(story, vectors.layout))
        if not story["rows"]:
            journal.begin()
        kept = tuple(row["step"] for row in story["rows"])
        return Run(
            name,
            vectors,
            journal,
            tuple(story["marks"]),
            kept,
            step or 0,
            lambda steps: self._commit(journal, story, steps),
        )

    def lightning(self, *, name: str | None = None, **recipe: Any) -> Any:
        """A callback for `lightning.Trainer`.

        The number of steps, the optimizer, the schedule, the epochs, the batch size and the seed of
        `seed_everything` are read off the trainer. The process of rank 0 records.

        Parameters
        ----------
        name, **recipe
            As for `run`.

        Returns
        -------
        lightning.Callback
        """
        from weightspace.recording.lightning import callback

        return callback(Session(self.begin, name, recipe))

    def transformers(self, *, name: str | None = None, **recipe: Any) -> Any:
        """A callback for `transformers.Trainer`.

        The number of steps, the optimizer, the schedule, the epochs, the batch size, the label
        smoothing and the seed are read off its arguments. The process of rank 0 records.

        Parameters
        ----------
        name, **recipe
            As for `run`.

        Returns
        -------
        transformers.TrainerCallback
        """
        from weightspace.recording.transformers import callback

        return callback(Session(self.begin, name, recipe))

    def keras(self, *, name: str | None = None, **recipe: Any) -> Any:
        """A callback for `keras.Model.fit`.

        The number of steps, the optimizer, its schedule and the epochs are read off the model.

        Parameters
        ----------
        name, **recipe
            As for `run`.

        Returns
        -------
        keras.callbacks.Callback
        """
        from weightspace.recording.keras import callback

        return callback(Session(self.begin, name, recipe))

    @property
    def stopped(self) -> list[str]:
        """The names of runs that have begun, have not ended, and that no process records now."""
        if not self.path.is_dir():
            return []
        units = places.units(self.path, places.STATES)
        # A run that was killed after it came into the zoo may have left its state.
        units = [unit for unit in units if not stories.is_in(self.path, unit)]
        left = [unit for unit in units if not stories.is_recorded(self.path, unit)]
        found = [stories.read(self.path, unit) for unit in left]
        return [story["net"] for story in found if story is not None]

    def finish(self, name: str) -> None:
        """Bring a run that was stopped into the zoo, with the snapshots that were kept.

        Parameters
        ----------
        name : str
            The name of the run.

        Raises
        ------
        UsageError
            If there is no such run, it is still recorded, or it has no snapshot.
        """
        with self._register.alone() as writer:
            story = self._stopped(writer, name)
            if not story["rows"]:
                raise UsageError(
                    f"run {name}", "has no snapshot", f"drop it with recorder.discard({name!r})"
                )
            layout = read_layout(self.path, story["layout"])
            journal = Journal(stories.opened(writer, story, layout), story)
        self._commit(journal, story, story["rows"][-1]["step"])

    def discard(self, name: str) -> None:
        """Delete the snapshots of a run that was stopped.

        Parameters
        ----------
        name : str
            The name of the run.

        Raises
        ------
        UsageError
            If there is no such run, or it is still recorded. A run that is in the zoo stays.
        """
        with self._register.alone() as writer:
            self._stopped(writer, name)
            writer.drop(stories.unit_of(name))

    def _stopped(self, writer: Writer, name: str) -> Story:
        story = stories.find(writer, name)
        if story is None:
            raise UsageError(
                f"run {name}", f"no run of that name was stopped in {self.path}", "see `stopped`"
            )
        return story

    def _commit(self, journal: Journal, story: Story, steps: int) -> None:
        try:
            journal.flush()
            with self._register.alone() as writer:
                self._register.widen(writer, story["recipe"])
            journal.commit(steps)
        except BaseException:
            journal.leave()
            raise

    def _listener(self, story: Story, layout: Layout) -> Listener | None:
        live = self._live
        if live is None:
            return None

        def listen(step: int, vector: Any) -> None:
            of = f" of {story['total']:,}" if story["total"] else ""
            live.tell(f"{story['net']}, step {step:,}{of}", vector, layout, story["recipe"])

        return listen


def _refuse_other_layout(story: Story, layout: Layout) -> None:
    if layout.key != story["layout"]:
        raise UsageError(
            f"run {story['net']}",
            "the model has other tensors than when the run began",
            "give another `name=`, or the model of that time",
        )
