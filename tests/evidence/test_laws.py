"""Each law has a page and a row in the table of laws, and says why it cannot be applied."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from support.trained import mlp, subject
from weightspace.checkpoints.opening import open_net
from weightspace.evidence import LAWS, Subject, examine, of_checkpoint

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("law", LAWS)
def test_each_law_stands_in_the_table(law: str) -> None:
    assert f"[{law}](laws/" in (DOCS / "laws.md").read_text(encoding="utf-8")


def test_pages_of_laws_are_on_the_site() -> None:
    site = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (DOCS / "laws").glob("*.md"):
        assert f"laws/{page.name}" in site


def test_a_net_of_no_layer_gives_reasons() -> None:
    empty = Subject((), lambda name, start, stop: None, {})  # type: ignore[arg-type, return-value]
    assert all(one.missing for one in examine(empty))


def test_a_file_gives_the_evidence_of_its_net(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = mlp(64, 32, 10, dtype=torch.float32)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    with open_net(tmp_path / "net.pt") as opened:
        read = examine(of_checkpoint(opened))
    assert [one.to_dict() for one in read] == [one.to_dict() for one in examine(subject(net))]


def test_rows_of_a_tensor_are_those_of_the_whole(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 5))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    with open_net(tmp_path / "net.pt") as opened:
        whole = of_checkpoint(opened)
        for name, values in net.state_dict().items():
            if values.ndim:
                rows = opened.rows(name, 1, 4)
                torch.testing.assert_close(torch.from_numpy(rows), values[1:4])
        assert [layer.weight for layer in whole.layers] == ["0.weight", "3.weight"]
        assert whole.layers[0].norms[0].batch
        assert whole.layers[1].bias == "3.bias"


def test_no_torch_is_loaded() -> None:
    code = "import sys, weightspace.evidence; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
