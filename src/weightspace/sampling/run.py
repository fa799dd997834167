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
from weightspace.sampling.modules import modules_of
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
    """Make a function of one `asked` take the arguments of that class instead.

    The fields of the class, with their defaults, are then the signature of the function.
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
    """The options, and the listener to the progress of the run."""

    progress: Progress = silent


@_called_with(_Watched)
def sample(asked: _Watched) -> Zoo:
    """Sample trained nets of a space into the zoo at `out`; call again to continue.

    Parameters
    ----------
    space : Space or str
        A `Space`, a preset's name or a YAML file's path.
    nets : int
        How many nets the zoo will have. A larger number than before adds nets; nets in the zoo do
        not change.
    out : str or Path
        The zoo's folder.
    seed : int
        The seed of the random recipes.
    shard : tuple of int
        (i, n) samples part i of n disjoint parts of the same nets, into a zoo of its own (`merge`
        joins them) or into one zoo that all n share.
    data_dir : str, optional
        The first folder in which image files are searched.
    datasets : sequence of str, optional
        The image sets, instead of those of the space.
    epochs : int, optional
        The number of epochs, instead of that of the space.
    snapshots : int
        How many vectors are kept of each net, at equal fractions of its training.
    snapshot_epochs : sequence of float, optional
        Keep a snapshot after each of these epochs instead; training ends after the last of them.
    evaluation_images : int
        The most training, validation and test images that each measure a net at each snapshot.
    workers : int, optional
        The number of processes, by default one per core. Each trains a stack on one thread. With
        1, this process trains all stacks.
    device : {"auto", "cpu", "cuda"}
        Where nets are trained.
    dtype : {"float32", "bfloat16"}
        The type of the stored weights. "bfloat16" keeps 8 significant bits in half the space.
        Training and its metrics use float32 in both cases.
    engine : {"local", "ray"}
        With "ray" the nodes of a cluster train, one stack on each CPU or GPU, and at most
        `workers` at the same time.
    address : str, optional
        HOST:PORT of the Ray cluster; by default a cluster that is found, or else started, on this
        machine.
    via : str
        How nets come from Ray's nodes into the zoo. "auto": nodes that see the folder `out` write
        into it, the others send nets to this process. "driver": all nodes send nets to this
        process. An fsspec URL such as s3://...: nodes write nets there, and this run or the next
        one fetches them.
    module : str or sequence of str, optional
        A module of one's own as the architecture, "net.py:build": the file, and the function of a
        recipe, or the class, that gives a `torch.nn.Module`. The file is run, here and by all
        workers. The zoo notes its name and its SHA-256. To continue a zoo, the file is needed
        again.
    progress : callable
        Called with a task, the number of trained nets, and the total.

    Returns
    -------
    Zoo
        The zoo, with all requested nets.

    Raises
    ------
    UsageError
        For an invalid space or option, before anything is written.
    DataError
        For missing images, before anything is written; for a full disk or a worker that died.
        Finished nets are kept.

    Examples
    --------
    >>> zoo = sample("demo", nets=300, out="my-zoo", seed=1)  # doctest: +SKIP
    """
    with modules_of(asked) as asked, opened(asked) as engine:
        request = Request.of(asked, engine)
        work = _prepared(request, engine)
        engine.train(work, asked.progress)
    refresh_index(request.out, asked.progress)
    return Zoo(request.out)


def _prepared(request: Request, engine: Engine) -> Work:
    """The work that is left to do; makes the zoo if it is missing."""
    # The first error to report is that `out` holds another zoo.
    writer = open_zoo(request) if request.is_begun else None
    images_on = request.device if engine.here else "cpu"
    # Missing images stop the run before it writes anything.
    pool = request.job(request.asked).pool(images_on)
    request.refuse_unsuitable(pool)
    writer, whole = enlist(request, pool, writer)
    todo = whole.without(writer)
    job = request.job(todo.nets)
    if not set(job.datasets) <= set(pool.sets):
        pool = job.pool(images_on)  # a stack may hold nets that were not requested
    kept = len(whole.nets) - len(todo.nets)
    return Work(job, pool, writer, todo.units, kept, needs=todo.estimate(request))


@_called_with(Options)
def estimate(asked: Options) -> Estimate:
    """Estimate what `sample` with the same arguments needs; nothing is trained or written.

    A few steps on random images are timed on this machine, which takes some seconds. Published
    image sets need no files for this. Nets that a zoo at `out` already holds are not subtracted.

    Parameters
    ----------
    space, nets, out, seed, shard, data_dir, datasets, epochs, snapshots, snapshot_epochs, \
evaluation_images, workers, device, dtype, engine, address, via, module
        As of `sample`.

    Returns
    -------
    Estimate
        Nets, weights, bytes and seconds.

    Raises
    ------
    UsageError
        For an invalid space or option.

    Examples
    --------
    >>> estimate("demo", nets=40, out="never-made").nets
    40
    """
    with modules_of(asked) as asked, opened(asked) as engine:
        request = Request.of(asked, engine)
        return agenda(request, [new_round(request, request.asked, {})]).estimate(request)
