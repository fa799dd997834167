"""The command line: parse, call one public function, show progress, set the exit code.

In: arguments. Out: text for people or, with `--json`, one JSON document on standard output;
progress goes to standard error. Promises: exit code 0 only for success, 2 for anything that the
user can correct (one line that names the thing and the remedy, no traceback), 3 for a net of which
nothing can be said (`predict`, `compare`), 130 when interrupted, 1 for a claim that `audit` finds
contradicted, for a zoo that `check` finds damaged and for a bug.
"""

from weightspace.cli.app import main

__all__ = ["main"]
