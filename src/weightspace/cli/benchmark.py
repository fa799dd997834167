"""The commands of the benchmark: bench sample, bench run, bench table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weightspace.cli import completing, examples, show
from weightspace.cli.arguments import DataDir, Json, ZooPath
from weightspace.cli.console import bars
from weightspace.cli.output import Debug, answer

if TYPE_CHECKING:
    from weightspace.bench import Result

bench = typer.Typer(
    rich_markup_mode=None,
    help="Compare what reads hyper-parameters from weights.\n\n"
    "Anyone samples its populations with one command. The docs have the tasks and a leaderboard.",
)


def sample(
    name: Annotated[
        str,
        typer.Argument(
            metavar="POPULATION",
            help="bench-small, bench or bench-wild.",
            autocompletion=completing.one_of(completing.POPULATIONS),
        ),
    ],
    out: Annotated[Path, typer.Option(help="The zoo's folder. An unfinished zoo is continued.")],
    data_dir: DataDir = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Sample a population of the benchmark, or continue."""
    from weightspace.bench import population

    with bars() as listener:
        zoo = population(name).sample(out, data_dir, listener)
    answer(as_json, show.facts(zoo), lambda: show.zoo(zoo))


def run(
    zoo: ZooPath,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="A classifier, such as layers, or FILE.py:FUNCTION of your own; the file is run.",
            autocompletion=completing.one_of(completing.ENCODERS),
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The JSON file of the result.")],
    judge: Annotated[
        str,
        typer.Option(
            help="Judge by test nets, or by validation nets while you design an encoder.",
            autocompletion=completing.one_of(completing.JUDGES),
        ),
    ] = "test",
    seconds: Annotated[
        float | None,
        typer.Option(min=1, help="The processor seconds allowed for each training."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the encoder.")] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train an encoder on a population, and judge it."""
    from weightspace import bench as room

    made = room.encoder(encoder)
    with bars() as listener:
        found = room.run(zoo, made, judge=judge, seconds=seconds, seed=seed, progress=listener)
    found.write(out)
    read = room.read_result(out)
    answer(as_json, _plain(read), lambda: print(room.leaderboard([read])))


def table(
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULT...", help="Results of bench run.")
    ],
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it as well: a .png, .svg or .pdf file."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check results, and print the leaderboard in Markdown."""
    from weightspace import bench as room

    read = [room.read_result(path) for path in results]
    if figure is not None:
        from weightspace.report import leaderboard_figure, save

        save(leaderboard_figure(read), figure)
    answer(as_json, [_plain(one) for one in read], lambda: print(room.leaderboard(read), end=""))


def _plain(result: Result) -> dict[str, object]:
    """The scores of a result, for `--json`."""
    return {
        "encoder": result.encoder,
        "population": result.population,
        "judged": result.judged,
        "seconds": result.seconds,
        "scores": [
            {
                "task": one.task,
                "target": one.target,
                "measure": "accuracy" if one.levels else "r_squared",
                "chance": one.chance,
                "n": len(one.nets),
                **vars(one.score),
            }
            for one in result.answered
        ],
    }


COMMANDS: tuple[Callable[..., None], ...] = (sample, run, table)
"""The commands of the group."""
for command in COMMANDS:
    name = command.__name__
    bench.command(name, epilog=examples.epilog(f"bench {name}"))(command)
