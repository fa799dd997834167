"""The table of commands, how one is run, and what its exit code is."""

from __future__ import annotations

import importlib.metadata
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from typer.exceptions import TyperException

from weightspace.cli import (
    arguments,
    auditing,
    benchmark,
    comparing,
    examples,
    exploring,
    inspecting,
    interop,
    listing,
    parts,
    reading,
    sampling,
    serving,
    watching,
)
from weightspace.cli.output import fail, set_debug, told
from weightspace.errors import WeightspaceError

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train many small neural networks, and predict from weights how a network was trained.\n\n"
    "A zoo is a folder of trained nets. Properties are the settings in which its nets differ.",
)


def _version(value: bool) -> None:
    if value:
        print(f"weightspace {importlib.metadata.version('weightspace')}")
        raise typer.Exit


@app.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train many small neural networks, and predict from weights how a network was trained.

    A zoo is a folder of trained nets. Properties are the settings in which its nets differ.
    """


_COMMANDS: tuple[Callable[..., None], ...] = (
    *(sampling.sample, listing.info, listing.check),
    *(parts.merge, parts.repair, parts.index, parts.reproduce),
    *(interop.export, interop.add, interop.publish, interop.import_),
    *(reading.evaluate, reading.dissect, exploring.explore),
    *(reading.fit, reading.predict, inspecting.inspect),
    *(auditing.audit, comparing.compare, serving.app, watching.watch),
    *(sampling.demo, listing.spaces, listing.images),
)
"""All commands, in the order of `weightspace --help`."""
COMMANDS = tuple(command.__name__.rstrip("_") for command in _COMMANDS)
"""Their names."""
_NO_MEMORY = "out of memory; finished work is kept, free some memory and run it again"
for name, command in zip(COMMANDS, _COMMANDS, strict=True):
    app.command(name, epilog=examples.epilog(name))(command)
app.add_typer(benchmark.bench, name="bench")
BENCH = tuple(f"bench {command.__name__}" for command in benchmark.COMMANDS)
"""The names of the commands of the group `bench`."""


def main() -> None:
    """Run a command and exit with its exit code."""
    # On SIGTERM, as on Ctrl-C, worker processes are ended before the exit.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(run(sys.argv[1:]))


def run(typed: list[str]) -> int:
    """Run a command; returns its exit code."""
    arguments.typed[:] = typed
    set_debug(False)
    try:
        code = app(typed or ["--help"], prog_name="weightspace", standalone_mode=False)
    except TyperException as error:
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        where = f"{typed[0]} " if typed[:1] and typed[0] in COMMANDS else ""
        return fail(f"{said.rstrip('.')}; see `weightspace {where}--help`", 2)
    except WeightspaceError as error:
        return fail(told(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        return 1
    except OSError as error:
        return fail(f"{error.filename or 'output'}: {error.strerror}; check path and disk", 2)
    except MemoryError:
        return fail(_NO_MEMORY, 2)
    except Exception as error:  # a bug: one line for the user, the traceback on request
        if isinstance(error, ImportError) and "failed to map segment" in str(error):
            return fail(_NO_MEMORY, 2)  # torch or another large library finds no room
        return fail(f"{type(error).__name__}: {error}; this is a bug, --debug shows where", 1)
    if code == 130:
        kept = "; finished nets are kept, the same command continues"
        return fail(f"stopped{kept if typed[:1] in (['sample'], ['demo']) else ''}", 130)
    return code if isinstance(code, int) else 0
