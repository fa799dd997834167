"""The page of a comparison: what it shows, and that hostile text stays text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from support.chromium import browse
from support.pages import read
from weightspace.evidence import Comparison, compare
from weightspace.report import comparison_page

HOSTILE = "</style></script><script>document.title='taken'</script>\u202e\x1b[2J"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder: Path = tmp_path_factory.mktemp("nets")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 10))
    torch.save(net.state_dict(), folder / "a.pt")
    hostile = {f"{HOSTILE}.{name}": value.half() for name, value in net.state_dict().items()}
    torch.save({**hostile, f"{HOSTILE}.alone": torch.randn(7, 7)}, folder / "b.pt")
    return compare(folder / "a.pt", folder / "b.pt")


def test_it_says_what_the_command_says(found: Comparison) -> None:
    page = read(comparison_page(found))
    text = " ".join(page.text)
    assert found.verdict == "partly shared"
    assert "Partly shared" in text
    assert found.says[0] in text
    assert "rounded to float16" in text.partition("Tensors")[2]
    assert "only in B" in text
    assert "2 more tensors, in the JSON" in text
    assert not {"\u202e", "\x1b"} & set(comparison_page(found))


def test_equal_names_need_one_column(found: Comparison, tmp_path: Path) -> None:
    net = nn.Linear(20, 32)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    same = comparison_page(compare(tmp_path / "net.pt", tmp_path / "net.pt"))
    heads = [
        page.partition("<thead>")[2].partition("</thead>")[0]
        for page in (same, comparison_page(found))
    ]
    assert [head.count("<th ") for head in heads] == [5, 6]
    assert ">tensor<" in heads[0]


@pytest.mark.slow
def test_it_loads_nothing_and_is_not_taken_over(found: Comparison, tmp_path: Path) -> None:
    page = comparison_page(found)
    assert not any(tag in ("script", "img", "link") for tag, _ in read(page).tags)
    dom, console = browse(page, tmp_path)
    assert console == ""
    assert "<title>taken</title>" not in dom
