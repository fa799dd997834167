"""`sample` and `estimate`: from a space to a zoo on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from weightspace.progress import Progress, silent
from weightspace.sampling.agenda import agenda, enlist, new_round, open_zoo
from weightspace.sampling.engines import Work, opened
from weightspace.sampling.estimate import Estimate
from weightspace.sampling.request import Options, Request
from weightspace.space import Space
from weightspace.zoo import MANIFEST, Zoo, refresh_index


def sample(
    space: Space | str,
    *,
    nets: int,
    out: str | Path,
    seed: int = 0,
    shard: tuple[int, int] = (1, 1),
    data_dir: str | None = None,
    datasets: Sequence[str] | None = None,
    epochs: int | None = None,
    snapshots: int = 20,
    snapshot_epochs: Sequence[float] | None = None,
    evaluation_images: int = 500,
    workers: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    engine: str = "local",
    address: str | None = None,
    via: str = "auto",
    progress: Progress = silent,
) -> Zoo:
    """Sample `nets` trained nets of a space into the zoo at `out`; call again to continue.

    With more `nets` a zoo grows: the nets in it stay as they are. `shard` (i, n) samples the i-th
    of n disjoint parts of the same nets, into a zoo of its own (`merge` joins them) or into one
    that all n share. `space` is a `Space`, a preset's name or a YAML file's path; `datasets` and
    `epochs` replace the space's own. Image files are looked for in `data_dir` first. `snapshots`
    vectors are kept of each net, at equal fractions of its training, or one after each of
    `snapshot_epochs`, the last of which then ends it; at most `evaluation_images` training,
    validation and test images each measure it at each. `workers` processes (by default one a
    core) train a stack each on one thread; with 1, this process does. `device` is auto, cpu or
    cuda. With `dtype` "bfloat16" the zoo keeps 8 significant bits of each value, in half the space;
    training and its metrics are those of the values before.

    With `engine` "ray" the nodes of a cluster train, the one at `address` (HOST:PORT; by default
    the one found, or else started, on this machine), a stack a CPU or GPU, at most `workers` at
    once. `via` says how nets reach the zoo: "auto" (nodes that see the folder `out` write there,
    others send them here), "driver" (all send them here), or an fsspec URL such as s3://... where
    nodes leave them and from which they are fetched, by this run or by the next.

    Raises `UsageError` for a space or options that cannot work and `DataError` for missing images,
    both before anything is written; `DataError` for a full disk or a worker that died, and what
    was finished is kept.

    >>> zoo = sample("demo", nets=300, out="my-zoo", seed=1)  # doctest: +SKIP
    """
    options = Options(
        nets,
        seed,
        shard,
        data_dir,
        datasets,
        epochs,
        snapshots,
        snapshot_epochs,
        evaluation_images,
        workers,
        device,
        dtype,
    )
    with opened(engine, workers=workers, address=address, via=via) as chosen:
        request = Request.of(space, options, out, chosen)
        if (request.out / MANIFEST).exists():
            open_zoo(request)  # another zoo there is the first thing to be said
        images_on = request.device if chosen.here else "cpu"
        # Missing images stop the run before it writes.
        pool = request.job(request.asked).pool(images_on)
        request.refuse_unsuitable(pool)
        writer, whole = enlist(request, pool)
        todo = whole.without(writer.finished, request.out)
        job = request.job(todo.nets)
        if not set(job.datasets) <= set(pool.sets):
            pool = job.pool(images_on)  # a stack may hold nets that were not asked for
        work = Work(job, pool, writer, todo.units, kept=len(whole.nets) - len(todo.nets))
        del pool  # an engine whose workers hold their own frees it
        chosen.train(work, progress)
    refresh_index(request.out, progress)
    return Zoo(request.out)


def estimate(
    space: Space | str,
    *,
    nets: int,
    out: str | Path,
    seed: int = 0,
    shard: tuple[int, int] = (1, 1),
    data_dir: str | None = None,
    datasets: Sequence[str] | None = None,
    epochs: int | None = None,
    snapshots: int = 20,
    snapshot_epochs: Sequence[float] | None = None,
    evaluation_images: int = 500,
    workers: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    engine: str = "local",
    address: str | None = None,
    via: str = "auto",
) -> Estimate:
    """What `sample` with the same arguments would need; trains nothing, writes nothing.

    A few steps on random images are timed on this machine, some seconds in all. Published image
    sets whose files are missing count as whole; what a zoo at `out` already holds is not deducted.
    Raises `UsageError` where the space or an option cannot work, whatever the images.

    >>> estimate("demo", nets=40, out="never-made").nets
    40
    """
    options = Options(
        nets,
        seed,
        shard,
        data_dir,
        datasets,
        epochs,
        snapshots,
        snapshot_epochs,
        evaluation_images,
        workers,
        device,
        dtype,
    )
    with opened(engine, workers=workers, address=address, via=via) as chosen:
        request = Request.of(space, options, out, chosen)
        return agenda(request, [new_round(request, request.asked, {})]).estimate(request)
