"""What reading a checkpoint loads: no torch."""

from __future__ import annotations

import subprocess
import sys

import torch

ASK = """
import sys
from weightspace.cli.app import run
assert run(["inspect", sys.argv[1]]) == 0
print([name for name in ("torch", "sklearn", "scipy", "altair") if name in sys.modules])
"""


def test_inspect_loads_no_torch(tmp_path):
    torch.save({"fc.weight": torch.ones(2, 3)}, tmp_path / "net.pt")
    command = [sys.executable, "-c", ASK, str(tmp_path / "net.pt")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"
