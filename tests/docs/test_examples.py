"""Python examples in Markdown run (those of docstrings: test_doctests.py).

In a Markdown file the fenced `python` blocks run in order, as a reader would type them: in one
session and one empty folder. A fenced `yaml` block whose first line is a comment with a file name,
and a `python` block whose first line is such a comment and nothing else, are written into that
folder first. A block after the comment `<!-- not run: reason -->` is left out.
"""

from __future__ import annotations

import doctest
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from weightspace.training.names import TABLES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# The contract between the rooms shows signatures, which are no session to type.
SESSIONS = [page for page in PAGES if page.name != "architecture.md"]
FENCE = re.compile(
    r"(?P<skip><!-- not run: [^\n]+ -->\n+)?"
    r"^```(?P<kind>python|yaml)[^\n]*\n(?P<body>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
FILE_NAME = re.compile(r"# (?P<name>[\w-]+\.yaml\b|[\w-]+\.py$)", re.MULTILINE)


def blocks(text: str) -> list[tuple[str, int, str]]:
    """(kind, line, body) of every fenced block that is to be run or written."""
    return [
        (m["kind"], text.count("\n", 0, m.start("body")), m["body"])
        for m in FENCE.finditer(text)
        if not m["skip"]
    ]


def run(page: Path, text: str) -> int:
    """Run the examples of a page in the current folder; how many there were."""
    session: dict[str, object] = {"__name__": "__main__"}
    for _, _, body in blocks(text):
        if name := FILE_NAME.match(body):
            Path(name["name"]).write_text(body, encoding="utf-8")
    count = 0
    for kind, line, body in blocks(text):
        if kind != "python" or FILE_NAME.match(body):
            continue
        count += 1
        if ">>> " in body:
            test = doctest.DocTestParser().get_doctest(body, session, page.name, str(page), line)
            runner = doctest.DebugRunner(optionflags=doctest.ELLIPSIS)
            runner.run(test, clear_globs=False)
            session.update(test.globs)
        else:
            # blank lines before the code make line numbers in a traceback those of the page
            exec(compile("\n" * line + body, str(page), "exec"), session)
    return count


@pytest.fixture
def tables():
    """What a page adds to the tables of names, and what it imports, is taken out again."""
    before, loaded = {field: dict(table) for field, table in TABLES.items()}, set(sys.modules)
    yield
    for name in {"net"} - loaded:
        sys.modules.pop(name, None)
    for field, table in TABLES.items():
        table.clear()
        table.update(before[field])


@pytest.mark.parametrize("page", SESSIONS, ids=lambda p: p.name)
def test_examples_of_a_page_run(page, tmp_path, monkeypatch, tables):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    if not run(page, page.read_text(encoding="utf-8")):
        pytest.skip("no Python examples")


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_benchmarks_that_pages_name_can_be_loaded(path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] in ("weightspace", *sys.stdlib_module_names):
            raise
        pytest.skip(f"needs {error.name}, which is not installed here")
    assert module.__doc__
    assert callable(module.main)


def test_the_page_of_spaces_lists_every_name():
    page = (ROOT / "docs" / "spaces.md").read_text(encoding="utf-8")
    for field, table in TABLES.items():
        (row,) = re.findall(rf"^\| `{field}` \|.*$", page, re.MULTILINE)
        assert [name for name in table if f"`{name}`" not in row] == []


def test_a_wrong_example_is_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (
        "```yaml\n# a.yaml\nb: 1\n```\n"
        "```python\n>>> from pathlib import Path\n>>> Path('a.yaml').read_text()[-2]\n'{}'\n```\n"
    )
    assert run(tmp_path / "page.md", page.format("1")) == 1
    with pytest.raises(doctest.DocTestFailure):
        run(tmp_path / "page.md", page.format("2"))
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "page.md", "```python\n1 / 0\n```\n")
    assert (
        run(tmp_path / "page.md", "<!-- not run: ends in error -->\n```python\n1 / 0\n```\n") == 0
    )


def test_result_pages_show_the_stored_tables() -> None:
    """A table on a page is the one that the command wrote, to the letter."""
    pages = sorted((ROOT / "docs" / "results").glob("*.md"))
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for table in sorted(page.with_suffix("").glob("*.md")):
            assert table.read_text(encoding="utf-8") in text, f"{page.name} lacks {table.name}"
