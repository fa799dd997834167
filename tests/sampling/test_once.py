"""One command draws the space once and opens the zoo once to write and once to read."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from support.tiny_runs import small, stacks_of
from weightspace.cli.app import run
from weightspace.sampling import estimate, sample
from weightspace.sampling.drawing import Draw
from weightspace.sampling.options import Options
from weightspace.space import Space, preset
from weightspace.zoo import Writer, Zoo

ONCE = {"drawn": 1, "written": 1, "read": 1}
SAMPLE = ("sample", "demo", "--workers", "1", "--epochs", "2", "--evaluation-images", "20")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often a space was drawn, and a zoo opened to write and to read."""
    found: Counter[str] = Counter()

    def count(owner: type, method: str, name: str) -> None:
        before = getattr(owner, method)

        def counted(*args: Any, **kwargs: Any) -> Any:
            found[name] += 1
            return before(*args, **kwargs)

        monkeypatch.setattr(owner, method, counted)

    count(Space, "draw", "drawn")
    count(Writer, "__init__", "written")
    count(Zoo, "__init__", "read")
    with stacks_of(3):
        yield found


def counted(calls: Counter[str], *typed: object) -> dict[str, int]:
    calls.clear()
    assert run([str(word) for word in typed]) == 0
    return dict(calls)


def test_a_command_draws_once_and_opens_the_zoo_once(
    calls: Counter[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "zoo")
    new = counted(calls, *SAMPLE, "--nets", 4, *out)
    again = counted(calls, *SAMPLE, "--nets", 4, *out)
    larger = counted(calls, *SAMPLE, "--nets", 6, *out)
    smaller = counted(calls, *SAMPLE, "--nets", 1, *out)
    (tmp_path / "zoo" / "rounds" / "000002.json").unlink()
    round_lost = counted(calls, *SAMPLE, "--nets", 6, *out)
    assert [new, again, larger, smaller, round_lost] == [ONCE] * 5


def test_an_estimate_draws_once_and_opens_nothing(
    calls: Counter[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "zoo")
    assert counted(calls, *SAMPLE, "--nets", 4, *out, "--estimate") == {"drawn": 1}
    counted(calls, *SAMPLE, "--nets", 4, *out)
    assert counted(calls, *SAMPLE, "--nets", 6, *out, "--estimate") == {"drawn": 1}


def test_shards_of_one_zoo_draw_once_and_open_it_once(calls: Counter[str], tmp_path: Path) -> None:
    for shard in ((1, 2), (2, 2)):
        calls.clear()
        small(tmp_path / "zoo", nets=8, snapshots=2, shard=shard)
        assert dict(calls) == ONCE


def test_a_draw_is_made_again_only_for_more_nets(calls: Counter[str]) -> None:
    space = preset("demo")
    expected = space.draw(40, 3)
    calls.clear()
    draw = Draw(space, 3, expected=12)
    assert draw.first(7) == expected[:7]
    assert draw.first(15) == expected[:15]
    draw.splits(11)
    assert dict(calls) == {"drawn": 1}
    assert draw.first(40) == expected
    assert dict(calls) == {"drawn": 2}


def test_options_are_the_signatures_of_sample_and_estimate() -> None:
    options = {field.name: field.default for field in fields(Options)}
    of_estimate = dict(inspect.signature(estimate).parameters)
    of_sample = dict(inspect.signature(sample).parameters)
    assert of_sample.pop("progress").kind is inspect.Parameter.KEYWORD_ONLY
    for parameters in (of_sample, of_estimate):
        found = {name: parameter.default for name, parameter in parameters.items()}
        assert list(found) == list(options)
        assert {k: MISSING if v is inspect.Parameter.empty else v for k, v in found.items()} == (
            options
        )
        positional = [p.name for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
        assert positional == ["space"]
    assert sample.__doc__
    for name in options:
        assert name in sample.__doc__
    with pytest.raises(TypeError, match=r"sample\(\) got an unexpected keyword argument 'net'"):
        sample("demo", nets=4, out="never-made", net=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"estimate\(\) .*unexpected keyword argument 'progress'"):
        estimate("demo", nets=4, out="never-made", progress=print)  # type: ignore[call-arg]
