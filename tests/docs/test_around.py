"""The five commands of docs/around.md, as a reader types them, with a smaller budget."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "around.md"


@pytest.mark.slow
def test_from_a_checkpoint_to_a_verdict_in_five_commands(tmp_path, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (program,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (card,) = re.findall(r"^```yaml\n# card.yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    Path("train.py").write_text(program, encoding="utf-8")
    Path("card.yaml").write_text(card, encoding="utf-8")
    subprocess.run([sys.executable, "train.py"], check=True, timeout=300)
    commands = re.findall(r"^\$ weightspace (.*)$", text, re.MULTILINE)
    assert len(commands) == 5
    codes = []
    for command in commands:
        words = command.replace("60s", "15s").split()
        found = subprocess.run(
            [sys.executable, "-m", "weightspace", *words], capture_output=True, text=True,
            timeout=900, check=False,
        )  # fmt: skip
        assert "Traceback" not in found.stderr, found.stderr
        codes.append(found.returncode)
    assert codes == [0, 1, 0, 1, 1]  # what contradicts the optimizer is a law
    assert "<html" in Path("net.html").read_text(encoding="utf-8")
    rounds = sorted(Path("cache/weightspace/around").glob("*/rounds/*"))
    words = [*commands[3].replace("60s", "15s").split(), "--json"]
    again = subprocess.run(
        [sys.executable, "-m", "weightspace", *words], capture_output=True, text=True,
        timeout=900, check=False,
    )  # fmt: skip
    (found,) = json.loads(again.stdout)
    assert sorted(Path("cache/weightspace/around").glob("*/rounds/*")) == rounds  # none sampled
    read = {one["property"]: one for one in found["readings"]}
    assert read["augmentation"]["value"] == "false"
    assert read["activation"]["value"] == "tanh"
    assert read["learning_rate"]["low"] < 0.002 < read["learning_rate"]["high"]
    verdicts = {one["claim"]: one["verdict"] for one in found["verdicts"]}
    assert verdicts["optimizer"] == "contradicted"
    assert verdicts["activation"] == "consistent"
    assert verdicts["augmentation"] == "undecidable"  # a population contradicts nothing
