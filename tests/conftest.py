"""Settings of all tests."""

import functools
import importlib
import os
import signal
from pathlib import Path

import pytest
import typer.main
from hypothesis import settings

TESTS = Path(__file__).parent
LONGEST = ("sampling", "attacks", "dissection", "cli", "report", "meta", "zoo")
"""Folders whose files take longest; begun last, one of them would leave the other cores idle."""

# A busy machine is no failure, so examples have no deadline.
settings.register_profile("weightspace", deadline=None)
settings.load_profile("weightspace")

# What a shell starts in its background is deaf to Ctrl-C, and so are its children; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# One thread for each matrix: a second one spins while it waits for a core that another test has,
# which took ten times the time of the arithmetic. Who tests threads asks for them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before anything imports weightspace, and after the line above, because it loads NumPy.
importlib.import_module("support.shapes").install()

# Processes that tests start find `support` as the tests do.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))

# Typer builds the parser of all commands anew whenever one is run. That is once in a process for a
# person and a thousand times for these tests, which would spend more on it than on the commands.
typer.main.get_command = functools.cache(typer.main.get_command)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; within each, tests stay in their order."""
    rank = {folder: place for place, folder in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(rank)))
