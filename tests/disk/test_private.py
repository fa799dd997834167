"""Folders for temporary files: nobody else opens them, and nothing stays."""

from __future__ import annotations

import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from weightspace import disk

FILL = (
    "import os, signal; from weightspace import disk\n"
    "with disk.private_folder('of-a-test') as folder:\n"
    "    disk.write_file(folder / 'file', b'secret')\n"
    "    print(folder, flush=True)\n"
    "    {then}\n"
)
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_it_is_of_this_user_alone_and_goes_with_all_that_is_in_it(place: Path) -> None:
    def fill() -> None:
        with disk.private_folder("of-a-test") as folder:
            assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
            disk.make_folder(folder / "inner")
            disk.write_file(folder / "inner" / "file", b"secret")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill()
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(place: Path) -> None:
    run = [sys.executable, "-c", FILL.format(then=KILL)]
    left = subprocess.run(run, capture_output=True, text=True, check=False).stdout.strip()
    assert Path(left, "file").read_bytes() == b"secret"
    wait = [sys.executable, "-c", FILL.format(then="input()")]
    with subprocess.Popen(wait, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        used = Path(other.stdout.readline().strip())
        with disk.private_folder("of-a-test"):
            assert not Path(left).exists()
            assert (used / "file").exists()
        other.communicate("\n")
    assert list(place.iterdir()) == []
