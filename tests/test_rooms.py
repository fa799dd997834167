"""The house keeps its order: who may import whom, and every room says what it is for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "src" / "weightspace"
ROOMS = (
    "disk",
    "space",
    "images",
    "networks",
    "training",
    "zoo",
    "sampling",
    "features",
    "learners",
    "meta",
    "dissection",
    "bench",
    "checkpoints",
    "evidence",
    "interop",
    "recording",
    "audit",
    "report",
    "app",
    "cli",
)


def test_imports_go_one_way():
    # In a process of its own: import-linter switches off every logger that is there.
    code = (
        "import sys; from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(config_filename=sys.argv[1], no_cache=True, no_logo=True))"
    )
    command = [sys.executable, "-c", code, str(ROOT / "pyproject.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_no_rooms_beside_the_plan():
    found = {path.parent.name for path in HOUSE.glob("*/__init__.py")}
    assert found == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_says_what_goes_in_and_out(room):
    text = (HOUSE / room / "__init__.py").read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert len(docstring.split()) >= 30, f"{room}: one paragraph on what comes in, out, promised"
    assert "In:" in docstring, f"{room}: say what comes in, after 'In:'"
    assert "Out:" in docstring, f"{room}: say what goes out, after 'Out:'"


@pytest.mark.parametrize(
    "path", sorted(HOUSE.rglob("*.py")), ids=lambda p: str(p.relative_to(HOUSE))
)
def test_each_file_opens_with_its_reason_and_stays_short(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{path}: the first line names the reason to exist"
    lines = text.count("\n")
    assert lines <= 420, f"{path}: {lines} lines; look for the second reason to exist"


def test_no_test_imports_another():
    """What two tests need lies in `support`."""
    found = [
        f"{path}:{node.lineno}"
        for path in Path(__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
        if any(part.startswith("test_") for part in (name or "").split("."))
    ]
    assert not found
