"""The GitHub Action: its steps run as a runner would run them, but for `uses: setup-python`.

The slow tests install the package into a new environment, as the action does, and take the other
packages from the environment of the tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft4Validator

from support import checkout
from support.audited import STEPS, state_of

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
SCRIPTS = sorted((ROOT / ".github" / "action").glob("*.sh"))
SARIF = json.loads((ROOT / "tests/audit/schemas/sarif-schema-2.1.0.json").read_text("utf-8"))
PYTHON, INSTALL, AUDIT = ACTION["runs"]["steps"]
TRUE = f"---\nlicense: mit\n---\n## Training hyperparameters\n- optimizer: SGD\n- steps: {STEPS}\n"
FALSE = TRUE.replace("SGD", "Adam")


def test_inputs_reach_the_script_as_variables_alone():
    for step in (INSTALL, AUDIT):
        assert "${{" not in step["run"]
    given = dict(re.findall(r"^(\w+): \$\{\{ inputs\.([\w-]+) \}\}$", "\n".join(
        f"{name}: {value}" for name, value in AUDIT["env"].items()
    ), re.M))  # fmt: skip
    assert set(given.values()) == set(ACTION["inputs"])
    script = (ROOT / ".github/action/audit.sh").read_text(encoding="utf-8")
    assert [name for name in given if f'"${name}"' not in script] == []


def test_every_step_is_pinned_or_a_script_that_bash_can_read():
    assert re.fullmatch(r"actions/setup-python@[0-9a-f]{40}", PYTHON["uses"])
    runs = INSTALL["run"] + AUDIT["run"]
    named = re.findall(r"\$GITHUB_ACTION_PATH/([\w./]+)", runs)
    assert sorted(ROOT / name for name in named) == SCRIPTS
    for script in SCRIPTS:
        subprocess.run(["bash", "-n", script], check=True, timeout=20)


@dataclass
class Ran:
    """What a step did."""

    code: int
    log: str
    summary: str
    outputs: dict[str, str]

    @property
    def shown(self) -> list[str]:
        """The lines of the log that the runner takes for commands."""
        found, token = [], None
        for line in (line.strip() for line in self.log.splitlines()):
            if token is not None:
                token = None if line == f"::{token}::" else token
            elif line.startswith("::stop-commands::"):
                token = line.removeprefix("::stop-commands::")
            elif line.startswith("::"):
                found.append(line)
        return found


@dataclass
class Runner:
    """A machine of GitHub: a checkout of the action, and a folder for what is made on the way."""

    action: Path
    temp: Path

    def step(self, step: dict, workspace: Path, inputs: dict[str, str], **more: str) -> Ran:
        """Run a step of the action, as the runner does for `shell: bash`."""
        defaults = {name: one.get("default", "") for name, one in ACTION["inputs"].items()}
        values = {f"inputs.{name}": text for name, text in (defaults | inputs).items()}
        values["steps.python.outputs.python-path"] = sys.executable
        env = {
            name: re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda m: values[m[1]], text)
            for name, text in step["env"].items()
        }
        files = {name: self.temp / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        script = self.temp / "step.sh"
        script.write_text(step["run"])
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        kept |= {name: text for name, text in os.environ.items() if name.startswith("PIP_")}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script],
            cwd=workspace, capture_output=True, text=True, timeout=900, check=False,
            env={
                **kept, **env, **{name: str(file) for name, file in files.items()}, **more,
                "GITHUB_ACTION_PATH": str(self.action), "RUNNER_TEMP": str(self.temp),
                "GITHUB_WORKSPACE": str(workspace), "CI": "true", "LANG": "C.UTF-8",
            },
        )  # fmt: skip
        lines = files["GITHUB_OUTPUT"].read_text().splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        summary = files["GITHUB_STEP_SUMMARY"].read_text()
        return Ran(done.returncode, done.stdout + done.stderr, summary, outputs)

    def audit(self, workspace: Path, **inputs: str) -> Ran:
        """Run the step that audits."""
        return self.step(AUDIT, workspace, {k.replace("_", "-"): v for k, v in inputs.items()})


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A machine on which the action's first steps ran."""
    folder = tmp_path_factory.mktemp("runner")
    checkout.copy(folder / "action")
    (folder / "temp").mkdir()
    made = Runner(folder / "action", folder / "temp")
    done = made.step(INSTALL, folder, {}, PIP_NO_DEPS="1", RUNNER_OS="")
    assert done.code == 0, done.log
    site = next((made.temp / "weightspace/lib").glob("python*/site-packages"))
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert (site / "weightspace").is_dir()
    return made


@pytest.mark.slow
def test_what_is_installed_is_whole(runner, tmp_path):
    """Workflows run this check on wheels, where nobody would notice until a release."""
    python = runner.temp / "weightspace/bin/python"
    done = subprocess.run(
        [python, runner.action / ".github/check_wheel.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the native step agrees with torch" in done.stdout


@pytest.fixture
def workspace(tmp_path: Path, net: Path) -> Path:
    """A repository with a model and a true card."""
    (tmp_path / "models").mkdir()
    shutil.copy(net, tmp_path / "models" / "net.pt")
    (tmp_path / "README.md").write_text(TRUE)
    return tmp_path


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return state_of(tmp_path_factory.mktemp("net"), optimizer=True)


def results(path: Path) -> dict[str, str]:
    """The claims of a SARIF file, which must be valid, and what became of them."""
    log = json.loads(path.read_text(encoding="utf-8"))
    Draft4Validator(SARIF).validate(log)
    return {
        one.get("properties", {}).get("claim", "file"): one["ruleId"]
        for one in log["runs"][0]["results"]
    }


@pytest.mark.slow
def test_a_true_card_passes(runner, workspace):
    ran = runner.audit(workspace, files="models/net.pt", card="README.md")
    assert ran.code == 0, ran.log
    assert ran.outputs == {"exit-code": "0", "sarif": "weightspace-audit.sarif"}
    assert results(workspace / ran.outputs["sarif"]) == {
        "optimizer": "consistent", "steps": "consistent",
    }  # fmt: skip
    assert "| ✅ | optimizer | sgd | **consistent**" in ran.summary
    assert ran.shown == []


@pytest.mark.slow
def test_a_false_card_fails_or_warns(runner, workspace):
    (workspace / "README.md").write_text(FALSE)
    ran = runner.audit(workspace, files="models/net.pt", card="README.md", sarif="out.sarif")
    assert ran.code == 1
    assert ran.outputs == {"exit-code": "1", "sarif": "out.sarif"}
    assert results(workspace / "out.sarif")["optimizer"] == "contradicted"
    (place,) = [
        one["locations"][0]["physicalLocation"]
        for one in json.loads((workspace / "out.sarif").read_text())["runs"][0]["results"]
        if one["ruleId"] == "contradicted"
    ]
    assert place == {"artifactLocation": {"uri": "README.md"}, "region": {"startLine": 5}}
    assert "| ❌ | optimizer | adam | **contradicted**" in ran.summary
    (line,) = ran.shown
    assert line.startswith("::error::weightspace: a claim is contradicted")
    ran = runner.audit(
        workspace, files="models/net.pt", card="README.md", fail_on_contradiction="false"
    )
    assert (ran.code, ran.outputs["exit-code"]) == (0, "1")
    assert ran.shown[0].startswith("::warning::weightspace: a claim is contradicted")


@pytest.mark.slow
def test_an_undecidable_claim_fails_where_a_decision_is_required(runner, workspace):
    given = {"files": "models/net.pt", "claims": "dropout=0.5\n\n  optimizer=sgd  \n"}
    assert runner.audit(workspace, **given).code == 0
    ran = runner.audit(workspace, **given, require="decided")
    assert (ran.code, ran.outputs["exit-code"]) == (1, "1")


@pytest.mark.slow
def test_what_cannot_be_read_fails_always(runner, workspace):
    never = {"fail_on_contradiction": "false"}
    ran = runner.audit(workspace, files="models/net.pt\nmodels/none.pt", card="README.md", **never)
    assert (ran.code, ran.outputs["exit-code"]) == (2, "2")
    assert results(workspace / ran.outputs["sarif"])["file"] == "unreadable"
    assert "cannot be read: models/none" in ran.summary
    ran = runner.audit(workspace, files="models/net.pt", card="none.md", **never)
    assert (ran.code, ran.outputs) == (2, {"exit-code": "2", "sarif": ""})
    assert "error: none.md: no such file" in ran.log
    assert ran.summary == "The audit did not begin; the log of the job says why.\n"
    for wrong, said in (
        ({"files": " \n"}, "files: name a checkpoint"),
        ({"files": "a", "sarif": "a\nb"}, "sarif: write the name of one file"),
        ({"files": "a", "fail_on_contradiction": "no"}, "fail-on-contradiction: write true or"),
    ):
        ran = runner.audit(workspace, **wrong)
        assert ran.code == 2
        assert said in ran.shown[0]


@pytest.mark.slow
def test_patterns_and_names_that_a_shell_would_run(runner, workspace):
    for name in ("a b.pt", "-c.pt", "$(touch pwned).pt", "`touch pwned`.pt", "d*.pt", "dd.pt"):
        shutil.copy(workspace / "models/net.pt", workspace / name)
    ran = runner.audit(workspace, files="*.pt\n-c.pt\n$(touch pwned).pt", card="README.md")
    assert ran.code == 0, ran.log
    assert ran.summary.count("### ") == 8  # the six, and two of them once more
    assert runner.audit(workspace, files="d*.pt").summary.count("### ") == 1  # a name comes first
    for name, given in (
        ("card", {"card": "$(touch pwned)"}),
        ("data", {"data": "; touch pwned #"}),
        ("require", {"require": "decided; touch pwned"}),
        ("claims", {"claims": "--help"}),
        ("claim", {"claims": "learning_rate=$(touch pwned)"}),
        ("files", {"files": "models/net.pt\n`touch pwned`\n--help"}),
    ):
        assert runner.audit(workspace, **{"files": "models/net.pt"} | given).code == 2, name
    assert runner.audit(workspace, files="models/net.pt", sarif="$(touch pwned)").code == 0
    assert not list(workspace.rglob("pwned"))


@pytest.mark.slow
def test_a_file_cannot_give_commands_to_the_runner(runner, workspace):
    shutil.copy(workspace / "models/net.pt", workspace / "::warning::fooled.pt")
    ran = runner.audit(workspace, files="*.pt", card="README.md")
    assert ran.code == 0
    assert "\n::warning::fooled.pt: 2 consistent" in ran.log
    assert ran.shown == []
