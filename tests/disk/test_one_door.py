"""One door to the disk: no room but `disk` opens, writes, renames or deletes files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "src" / "weightspace"

# By the last name of what is called. Of the names that other things have too, those calls count
# whose arguments are a path's: `text.replace(a, b)` takes two, `path.replace(target)` one.
ALWAYS = {
    *("rmtree", "unlink", "rmdir", "removedirs", "makedirs", "mkdir", "mkfifo", "mknod"),
    *("symlink", "symlink_to", "hardlink_to", "link", "truncate", "touch", "renames"),
    *("read_text", "read_bytes", "write_text", "write_bytes"),
    *("copyfile", "copyfileobj", "copytree", "copy2", "move", "make_archive", "unpack_archive"),
    *("memmap", "open_memmap", "fromfile", "tofile", "savez", "savez_compressed", "loadtxt"),
    *("safe_open", "load_file", "save_file", "ParquetFile", "memory_map"),
    *("read_parquet", "scan_parquet", "write_parquet", "write_csv", "read_csv", "savefig"),
    *("loadmat", "whosmat", "savemat", "mmap", "fdopen", "open_input_file", "NpzFile"),
    *("ZipFile", "GzipFile", "TarFile", "TemporaryFile", "NamedTemporaryFile", "mkstemp"),
    *("glob", "rglob", "iterdir", "scandir", "walk", "listdir"),
}
OF_A_MODULE = {
    "os": {"open", "rename", "replace", "remove", "stat"},
    "io": {"open"},
    "shutil": {"copy", "rmtree"},
    "np": {"load", "save"},
    "pq": {"read_table", "write_table", "read_metadata"},
    "torch": {"load", "save"},
    "gzip": {"open"},
    "tarfile": {"open"},
    "zipfile": {"Path"},
    "fsspec": {"open"},
}

ALLOWED = {
    # place: what it may do, and why
    ("native.py", "glob"): "builds beside the source of a room",
    ("report/html/assets.py", "read_text"): "the template that comes with the package",
    ("sampling/saving.py", "rglob"): "its own source",
    ("audit/around/looking.py", "load"): "bytes that the door gave",
    ("audit/around/looking.py", "savez"): "into memory",
    ("zoo/format/tables.py", "ParquetFile"): "bytes that the door gave",
    ("zoo/format/tables.py", "write_table"): "into memory",
    ("meta/evaluation/tables.py", "write_parquet"): "into memory",
    ("report/drawing/canvas.py", "savefig"): "into memory",
    ("report/notebook.py", "savefig"): "into memory",
    ("images/loading.py", "glob"): "names in folders of images, which the user named",
    ("images/npz.py", "ZipFile"): "a file that the door opened",
    ("app/archives.py", "ZipFile"): "a file that the door opened",
    ("app/archives.py", "GzipFile"): "a file that the door opened",
    ("app/archives.py", "open"): "a file that the door opened",
    ("sampling/engines/tarring.py", "open"): "files that the door opened, or a store's",
    ("sampling/engines/depot.py", "open"): "a store that is no folder here",
    ("sampling/engines/depot.py", "makedirs"): "the folder that the user named as a store",
    ("sampling/engines/depot.py", "copyfileobj"): "from an opened file to a store",
    ("sampling/engines/depot.py", "TemporaryFile"): "of this process alone, without a name",
}


def calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every call that reaches the disk by a path."""
    foreign = {"open", *_imported(tree)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        of, name = "", ""
        if isinstance(node.func, ast.Name):
            name = node.func.id if node.func.id in foreign else ""
        elif isinstance(node.func, ast.Attribute):
            name = node.func.attr
            of = node.func.value.id if isinstance(node.func.value, ast.Name) else "?"
        one_argument = len(node.args) == 1 and not node.keywords
        found = (
            (name in ALWAYS and of != "disk")
            or name in OF_A_MODULE.get(of, ())
            or (name == "open" and not of)  # the built-in
            or (name == "open" and of not in ("disk", "Image") and not _opens_a_member(node))
            or (
                name in ("replace", "rename")
                and isinstance(node.func, ast.Attribute)
                and of not in ("disk", "dataclasses")
                and one_argument
                and not isinstance(node.args[0], ast.Dict)
            )
        )
        if found:
            yield node.lineno, name


def _imported(tree: ast.AST) -> set[str]:
    """Names that come from other packages: those of this one lead through the door."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("weightspace")
        for alias in node.names
    }


def _opens_a_member(node: ast.Call) -> bool:
    """Whether it is the `open` of an archive that is open already."""
    value = node.func.value if isinstance(node.func, ast.Attribute) else None
    return isinstance(value, ast.Name) and value.id == "archive"


@pytest.mark.parametrize(
    "path", sorted(HOUSE.rglob("*.py")), ids=lambda p: p.relative_to(HOUSE).as_posix()
)
def test_files_are_reached_through_the_door_alone(path):
    place = path.relative_to(HOUSE).as_posix()
    if place.startswith("disk/"):
        return
    found = [
        f"{place}:{line}: {name}"
        for line, name in calls(ast.parse(path.read_text(encoding="utf-8")))
        if (place, name) not in ALLOWED
    ]
    assert not found, f"through weightspace.disk, see docs/security.md: {found}"


@pytest.mark.parametrize(
    "code",
    [
        "open(p)",
        "p.open()",
        "p.read_text()",
        "(a / b).replace(c)",
        "path.replace(final)",
        "os.replace(a, b)",
        "shutil.rmtree(p)",
        "p.unlink(missing_ok=True)",
        "np.load(p)",
        "frame.write_parquet(p)",
        "[f for f in p.glob('*')]",
        "torch.load(p)",
        "self.path.rename(p)",
        "zipfile.ZipFile(p)",
        "from mmap import mmap\nmmap(f, 0)",
        "from safetensors.torch import load_file\nload_file(p)",
    ],
)
def test_the_test_sees(code):
    assert list(calls(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "text.replace('a', 'b')",
        "disk.open_file(p)",
        "frame.rename({'a': 'b'})",
        "archive.open(m)",
        "from weightspace.disk import read_bytes\nread_bytes(p, 9)",
    ],
)
def test_the_test_does_not_see_what_is_none(code):
    assert not list(calls(ast.parse(code)))


def test_every_exception_is_needed():
    for place, name in ALLOWED:
        tree = ast.parse((HOUSE / place).read_text(encoding="utf-8"))
        assert name in {found for _, found in calls(tree)}, f"{place} no longer calls {name}"
