"""`sample` and `estimate`: from a space to a zoo on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

from weightspace.progress import Progress, silent
from weightspace.sampling.agenda import agenda, enlist, new_round, open_zoo
from weightspace.sampling.engines import Engine, Work, opened
from weightspace.sampling.needs import Estimate
from weightspace.sampling.options import Options
from weightspace.sampling.request import Request
from weightspace.zoo import Zoo, refresh_index

_P = ParamSpec("_P")
_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


def _called_with(
    asked: Callable[_P, _Asked],
) -> Callable[[Callable[[_Asked], _Answer]], Callable[_P, _Answer]]:
    """Let a function of one `asked` be called with the arguments that make one.

    So the options, which `asked` names with their defaults, are the function's own signature.
    """
    parameters = signature(asked).parameters.values()

    def decorate(function: Callable[[_Asked], _Answer]) -> Callable[_P, _Answer]:
        own = signature(function).replace(parameters=list(parameters))

        @wraps(function)
        def called(*args: _P.args, **kwargs: _P.kwargs) -> _Answer:
            try:
                own.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            return function(asked(*args, **kwargs))

        called.__signature__ = own  # type: ignore[attr-defined]
        return called

    return decorate


@dataclass(frozen=True, kw_only=True)
class _Watched(Options):
    """The options, and who listens to the run's progress."""

    progress: Progress = silent


@_called_with(_Watched)
def sample(asked: _Watched) -> Zoo:
    """Sample trained nets of a space into the zoo at `out`; call again to continue.

    Parameters
    ----------
    space
        A `Space`, a preset's name or a YAML file's path.
    nets
        How many nets the zoo shall have. With more than before it grows: the nets in it stay as
        they are.
    out
        The zoo's folder.
    seed
        Of the draw: which recipes are the first `nets`.
    shard
        (i, n) samples the i-th of n disjoint parts of the same nets, into a zoo of its own
        (`merge` joins them) or into one that all n share.
    data_dir
        Where image files are looked for first.
    datasets, epochs
        Replace the space's own.
    snapshots
        How many vectors are kept of each net, at equal fractions of its training.
    snapshot_epochs
        Keep one after each of these epochs instead; the last of them ends the training.
    evaluation_images
        At most so many training, validation and test images each measure a net at each snapshot.
    workers
        Processes (by default one a core) that train a stack each on one thread; with 1, this
        process does.
    device
        auto, cpu or cuda.
    dtype
        Of the zoo's values. With "bfloat16" it keeps 8 significant bits of each, in half the
        space; training and its metrics are those of the values before.
    engine
        "local", or "ray": the nodes of a cluster train, a stack a CPU or GPU, at most `workers` at
        once.
    address
        HOST:PORT of the Ray cluster; by default the one found, or else started, on this machine.
    via
        How nets reach the zoo from Ray's nodes: "auto" (nodes that see the folder `out` write
        there, others send them here), "driver" (all send them here), or an fsspec URL such as
        s3://... where nodes leave them and from which they are fetched, by this run or by the
        next.
    progress
        Is told how many nets are trained.

    Returns
    -------
    Zoo
        The zoo, with all nets asked for.

    Raises
    ------
    UsageError
        For a space or options that cannot work, before anything is written.
    DataError
        For missing images, before anything is written; for a full disk or a worker that died, and
        what was finished is kept.

    Examples
    --------
    >>> zoo = sample("demo", nets=300, out="my-zoo", seed=1)  # doctest: +SKIP
    """
    with opened(asked) as engine:
        request = Request.of(asked, engine)
        work = _prepared(request, engine)
        engine.train(work, asked.progress)
    refresh_index(request.out, asked.progress)
    return Zoo(request.out)


def _prepared(request: Request, engine: Engine) -> Work:
    """The work that is left to do in the zoo, which is there from now on."""
    # Another zoo there is the first thing to be said.
    writer = open_zoo(request) if request.is_begun else None
    images_on = request.device if engine.here else "cpu"
    # Missing images stop the run before it writes.
    pool = request.job(request.asked).pool(images_on)
    request.refuse_unsuitable(pool)
    writer, whole = enlist(request, pool, writer)
    todo = whole.without(writer)
    job = request.job(todo.nets)
    if not set(job.datasets) <= set(pool.sets):
        pool = job.pool(images_on)  # a stack may hold nets that were not asked for
    kept = len(whole.nets) - len(todo.nets)
    return Work(job, pool, writer, todo.units, kept, needs=todo.estimate(request))


@_called_with(Options)
def estimate(asked: Options) -> Estimate:
    """What `sample` with the same arguments would need; trains nothing, writes nothing.

    A few steps on random images are timed on this machine, some seconds in all. Published image
    sets whose files are missing count as whole; what a zoo at `out` already holds is not deducted.

    Parameters
    ----------
    space, nets, out, seed, shard, data_dir, datasets, epochs, snapshots, snapshot_epochs, \
evaluation_images, workers, device, dtype, engine, address, via
        As of `sample`.

    Returns
    -------
    Estimate
        Nets, values, bytes and seconds.

    Raises
    ------
    UsageError
        Where the space or an option cannot work, whatever the images.

    Examples
    --------
    >>> estimate("demo", nets=40, out="never-made").nets
    40
    """
    with opened(asked) as engine:
        request = Request.of(asked, engine)
        return agenda(request, [new_round(request, request.asked, {})]).estimate(request)
