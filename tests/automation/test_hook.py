"""The hooks for pre-commit, run by pre-commit itself in a repository with a model and a card.

`language: python` is installed from a clone of this repository. The packages that weightspace needs
are those of the tests' environment; to fetch torch again would take minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from support import checkout
from support.audited import STEPS, state_of

HOOKS = yaml.safe_load((checkout.ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
CARD = f"## Training hyperparameters\n- optimizer: SGD\n- steps: {STEPS}\n"


def test_which_files_a_hook_looks_at():
    for hook in HOOKS:
        seen = {
            name: bool(re.search(hook["files"], name))
            for name in ("net.pt", "a/model.SAFETENSORS", "README.md", "card.yml", "x.py", "pt")
        }
        assert [name for name in seen if not seen[name]] == ["x.py", "pt"]
        assert hook["entry"] == "weightspace audit"
        assert not hook["pass_filenames"]  # the arguments name what is audited


def git(folder: Path, *words: str) -> None:
    who = [
        "-c",
        "user.name=Test",
        "-c",
        "user.email=test@example.org",
        "-c",
        "commit.gpgsign=false",
    ]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the hooks, as it would be after a commit of all changes."""
    folder = tmp_path_factory.mktemp("hooks")
    checkout.copy(folder)
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "all"), ("tag", "v1")):
        git(folder, *words)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A repository with a model and a true card."""
    state_of(tmp_path, optimizer=True)
    (tmp_path / "README.md").write_text(CARD)
    (tmp_path / "train.py").write_text("pass\n")
    git(tmp_path, "init", "-q")
    return tmp_path


def pre_commit(model: Path, *words: str, **more: str) -> tuple[int, str]:
    """Run pre-commit in a repository; its exit code, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", *words, "--color", "never"],
        cwd=model, env=os.environ | more, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a shell in which the command `weightspace` is that of the tests."""
    command = tmp_path_factory.mktemp("bin") / "weightspace"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m weightspace "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": str(checkout.ROOT / "src")}


@pytest.mark.slow
@pytest.mark.parametrize("hook", [one["id"] for one in HOOKS])
def test_pre_commit_runs_the_hook(hook, hooks, model, installed, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    needed = {"PYTHONPATH": sysconfig.get_path("purelib"), "PIP_NO_DEPS": "1"}
    env = (
        installed if hook.endswith("system") else needed | {"PIP_RETRIES": "0", "PIP_TIMEOUT": "5"}
    )
    env |= {"PRE_COMMIT_HOME": str(cache)}
    asked = [{"id": hook, "args": ["net.pt", "--claims", "README.md"]}]
    repositories = [{"repo": str(hooks), "rev": "v1", "hooks": asked}]
    (model / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": repositories}))

    def committed(name: str, text: str) -> tuple[int, str]:
        (model / name).write_text(text)
        git(model, "add", "-A")
        code, said = pre_commit(model, "run", **env)
        git(model, "commit", "-qm", name)
        return code, said

    code, said = committed("README.md", CARD)
    assert code == 0, said
    assert "Passed" in said
    code, said = committed("README.md", CARD.replace("SGD", "Adam"))
    assert code == 1, said
    assert "- exit code: 1" in said
    assert re.search(r"contradicted +optimizer +adam", said)
    code, said = committed("train.py", "print()\n")
    assert code == 0
    assert "(no files to check)Skipped" in said
    own = list(cache.rglob("site-packages/weightspace/cli/app.py"))
    assert len(own) == (0 if hook.endswith("system") else 1)


@pytest.mark.slow
def test_try_repo_finds_the_hook(hooks, model, installed):
    git(model, "add", "-A")
    words = ("try-repo", str(hooks), "weightspace-audit-system", "--ref", "v1")
    code, said = pre_commit(model, *words, "--files", "README.md", **installed)
    # `try-repo` takes no arguments for the hook, and the hook says that they are missing.
    assert code == 1
    assert "error: Missing argument 'FILE...'; see `weightspace audit --help`" in said
