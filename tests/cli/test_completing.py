"""Help and completion: what a person finds without leaving the terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from support.commands import printed
from weightspace.audit.formats import FORMATS
from weightspace.audit.spelling import KEYS
from weightspace.bench.encoders import OWN
from weightspace.bench.populations import POPULATIONS
from weightspace.bench.tasks import JUDGES
from weightspace.cli import completing
from weightspace.cli.app import BENCH, COMMANDS, app, run
from weightspace.cli.examples import EXAMPLES
from weightspace.dissection import ALSO
from weightspace.interop.importing import READERS
from weightspace.learners.registry import CLASSIFIERS
from weightspace.networks.layout import PARTS


def test_names_that_completion_repeats_are_those_of_the_tables():
    assert tuple(CLASSIFIERS) == completing.CLASSIFIERS
    assert tuple(ALSO) == completing.ANALYSES
    assert tuple(KEYS) == completing.CLAIMS
    assert {*FORMATS, "html"} == set(completing.AUDIT_FORMATS)
    assert tuple(READERS) == completing.IMPORT_FORMATS
    assert ("all", *PARTS) == completing.PARTS
    assert tuple(POPULATIONS) == completing.POPULATIONS
    assert completing.ENCODERS == OWN
    assert completing.JUDGES == JUDGES


def test_every_command_has_examples_that_it_can_parse(capsys):
    assert tuple(EXAMPLES) == COMMANDS + BENCH
    commands = get_command(app).commands
    for name, examples in EXAMPLES.items():
        group, _, inner = name.rpartition(" ")
        command = commands[group].commands[inner] if group else commands[name]
        shown = printed(capsys, *name.split(), "--help")
        for example in examples:
            assert f"\n    weightspace {example}\n" in shown
            assert example.startswith(f"{name} ") or example == name
            command.make_context(name, shlex.split(example)[len(name.split()) :])


def test_help_fits_a_screen_of_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    listed = printed(capsys, "--help")
    assert "...\n" not in listed.partition("Commands:")[2]  # no sentence is cut
    for text in (
        listed,
        *(printed(capsys, *name.split(), "--help") for name in (*COMMANDS, "bench", *BENCH)),
    ):
        assert max(map(len, text.splitlines())) <= 80


def offered(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str) -> list:
    """What bash gets for a line whose last word is to be completed."""
    words = line.split(" ")
    monkeypatch.setenv("_WEIGHTSPACE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit) as end:
        run([])
    assert not end.value.code
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("weightspace eva", ["evaluate"]),
        ("weightspace audit --req", ["--require"]),
        ("weightspace sample nws-m", ["nws-main"]),
        ("weightspace sample x --datasets digits,mn", ["digits,mnist"]),
        ("weightspace evaluate zoo --classifiers shallow,kernel,pa",
         ["shallow,kernel,paper", "shallow,kernel,patches"]),
        ("weightspace evaluate zoo --properties optimizer,optim", []),
        ("weightspace fit zoo --properties optimizer,weight_d", ["optimizer,weight_decay"]),
        ("weightspace fit zoo --classifier ker", ["kernel"]),
        ("weightspace dissect zoo --also no", ["none"]),
        ("weightspace dissect zoo --also slices,tr", ["slices,transfer"]),
        ("weightspace audit net.pt --claim opt", ["optimizer="]),
        ("weightspace audit net.pt --data fash", ["fashion_mnist"]),
        ("weightspace audit net.pt --format s", ["sarif"]),
        ("weightspace import folder zoo --format un", ["unterthiner"]),
        ("weightspace sample x --dtype b", ["bfloat16"]),
        ("weightspace bench sample bench-", ["bench-small", "bench-wild"]),
        ("weightspace bench run zoo --encoder la", ["layers"]),
    ],
)  # fmt: skip
def test_tab(capsys, monkeypatch, line, names):
    assert offered(capsys, monkeypatch, line) == names


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """Variables of a shell of a new user, who has the command `weightspace`."""
    command = tmp_path / "bin" / "weightspace"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m weightspace "$@"\n')
    command.chmod(0o755)
    (tmp_path / "home").mkdir()
    source = Path(__file__).parents[2] / "src"
    return {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(source),
    }


SHELLS = {
    "bash": (
        "source ~/.bashrc; COMP_WORDS=(weightspace sample nws-m); COMP_CWORD=2; "
        '$(complete -p weightspace | sed "s/.*-F \\([^ ]*\\).*/\\1/") weightspace; '
        'echo "${COMPREPLY[@]}"'
    ),
    "zsh": (
        "source ~/.zfunc/_weightspace 2>/dev/null; "
        'env _TYPER_COMPLETE_ARGS="weightspace sample nws-m" _WEIGHTSPACE_COMPLETE=complete_zsh '
        "weightspace"
    ),
    "fish": 'complete --do-complete "weightspace sample nws-m"',
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_once_it_is_installed(name, shell):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")

    def ran(line: str) -> str:
        done = subprocess.run(
            [name, "-c", line], env=shell, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # Two commands, so that the shell stays in the background, and can be asked for its name.
    assert "_WEIGHTSPACE_COMPLETE" in ran("weightspace --show-completion; true")
    assert "completion installed in" in ran("weightspace --install-completion; true")
    assert "nws-main" in ran(SHELLS[name])
