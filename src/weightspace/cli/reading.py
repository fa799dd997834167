"""The commands that read hyper-parameters from weights: evaluate, dissect, fit, predict."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from weightspace.cli import arguments, completing, predicted, show
from weightspace.cli.arguments import (
    Classifiers,
    Json,
    Key,
    LeaveOut,
    Out,
    Part,
    Permutations,
    Properties,
    RunningStats,
    Seeds,
    SliceLength,
    SlicesPerNet,
    Snapshots,
    StoredSplit,
    ZooName,
)
from weightspace.cli.console import bars
from weightspace.cli.output import Debug, answer, fail, told
from weightspace.errors import DataError
from weightspace.printable import printable


def evaluate(
    zoo: ZooName,
    out: Out,
    properties: Properties = None,
    classifiers: Classifiers = None,
    slice_length: SliceLength = None,
    snapshots: Snapshots = "-1",
    part: Part = "all",
    running_stats: RunningStats = True,
    slices_per_net: SlicesPerNet = 8,
    seeds: Seeds = "0,1,2",
    permutations: Permutations = 10,
    split: StoredSplit = False,
    leave_out: LeaveOut = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how well properties can be predicted from weights.

    Numbers, such as the learning rate, are also predicted as numbers, unless --properties, --split
    or --leave-out is given. Tables of an earlier evaluation in the folder are replaced.
    """
    from weightspace import meta
    from weightspace.disk import InnerPath
    from weightspace.meta.evaluation import regressed, regression, tables
    from weightspace.meta.evaluation import result as evaluation
    from weightspace.zoo import Zoo

    arguments.folder(out)
    tables.refuse_foreign(InnerPath(out), evaluation.FILES | regressed.FILES)
    with bars() as listener:
        population = Zoo(zoo)
        named = arguments.properties(properties)
        tested = arguments.split(population, split, leave_out)
        study = meta.Study.of(
            population,
            properties=named,
            slice_length=slice_length,
            snapshots=arguments.numbers("snapshots", snapshots),
            part=part,
            running_stats=running_stats,
            slices_per_net=slices_per_net,
            seeds=arguments.numbers("seeds", seeds),
            permutations=permutations,
            split=tested,
        )
        everything = named is None and tested is None
        lacking = regression.refusal(study) if everything else None
        if lacking is not None:
            print(f"no numbers: {printable(lacking, 4096)}", file=sys.stderr)
        result = meta.evaluate(
            study, classifiers=arguments.names("classifiers", classifiers), progress=listener
        )
        # Tables are written before the regression, which is slow. Numbers of an earlier run do not
        # belong to the new tables.
        result.to_parquet(out)
        meta.Regression.remove(out)
        wanted = everything and lacking is None
        numbers = meta.regress(study, progress=listener) if wanted else None
        if numbers is not None:
            numbers.to_parquet(out)
    plain = result.to_dict() | {"numbers": numbers.frame().to_dicts() if numbers else []}
    answer(as_json, plain, lambda: show.evaluation(result, numbers, out))


def dissect(
    zoo: ZooName,
    out: Out,
    properties: Properties = None,
    classifiers: Classifiers = None,
    slice_length: SliceLength = None,
    positions: Annotated[
        int, typer.Option(min=1, help="Number of places along the weight vector.")
    ] = 100,
    slices_per_net: SlicesPerNet = 8,
    seeds: Seeds = "0,1,2",
    permutations: Permutations = 10,
    also: Annotated[
        str,
        typer.Option(
            help="Optional analyses: all, none, or comma-separated names, such as slices,map. "
            "An unknown name prints all names.",
            autocompletion=completing.some_of(completing.ANALYSES, "all", "none"),
        ),
    ] = "all",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how well, where and when properties can be predicted.

    Where: in which layers. When: how early in training. The results are written as tables, figures
    and one HTML page.
    """
    from weightspace import dissection, report
    from weightspace.report.writing import refuse_foreign
    from weightspace.zoo import Zoo

    arguments.folder(out)
    refuse_foreign(out)
    with bars() as listener:
        population = Zoo(zoo)
        result = dissection.dissect(
            population,
            properties=arguments.properties(properties),
            classifiers=arguments.names("classifiers", classifiers),
            slice_length=slice_length,
            positions=positions,
            slices_per_net=slices_per_net,
            seeds=arguments.numbers("seeds", seeds),
            permutations=permutations,
            also=arguments.also(also),
            command=shlex.join(["weightspace", *arguments.typed]),
            progress=listener,
        )
    written = report.write(result, out)
    plain = {"page": str(written), "facts": result.facts, "how_much": result.much.to_dict()["rows"]}
    answer(as_json, plain, lambda: show.dissection(result, written))


def fit(
    zoo: ZooName,
    out: Annotated[Path, typer.Option(help="The model's folder.")],
    properties: Properties = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            help="Train only this classifier; by default layers and kernel.",
            autocompletion=completing.one_of(completing.CLASSIFIERS),
        ),
    ] = None,
    slice_length: SliceLength = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train classifiers on a zoo, and save them as a model."""
    from weightspace import meta
    from weightspace.meta.model.storage import refuse_foreign
    from weightspace.zoo import Zoo

    arguments.folder(out)
    refuse_foreign(out)
    options: dict[str, Any] = {"classifier": classifier} if classifier else {}
    with bars() as listener:
        population = Zoo(zoo)
        model = meta.fit(
            population,
            properties=arguments.properties(properties),
            slice_length=slice_length,
            progress=listener,
            **options,
        )
    model.save(out)
    answer(as_json, model.to_dict(), lambda: show.model(model, out))


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A folder that `fit` made.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Checkpoints.")],
    key: Key = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Predict how the nets in files were trained.

    FILE is a checkpoint of any form that `inspect` reads. Outside of the population of the model
    nothing is read, and the reason is printed. The exit code is 3 if a net is outside, and 2 if a
    file cannot be read.
    """
    from weightspace.audit.readings import predict as read
    from weightspace.meta import Model

    fitted = Model.load(model)
    predictions, plain, failed = [], [], False
    for file in files:
        try:
            predictions.append(read(fitted, file, key=key))
            plain.append(predictions[-1].to_dict())
        except DataError as error:  # predict the other files all the same
            failed = True
            plain.append({"file": str(file), "error": told(error)})
            fail(told(error), 2)
    if predictions or as_json:
        answer(as_json, plain, lambda: predicted.predictions(predictions))
    if failed:
        raise typer.Exit(2)
    if any(one.answer.outside for one in predictions):
        raise typer.Exit(3)
