"""Space files from anywhere: one line in little time and memory, whatever stands in them."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from weightspace.errors import UsageError
from weightspace.space import load_space, preset
from weightspace.space.reading import PlainFile


def refusal(path: Path) -> str:
    """What is said of a file, without its folder, and that it takes little time."""
    began = time.process_time()
    with pytest.raises(UsageError) as caught:
        load_space(path)
    assert time.process_time() - began < 5  # one, on a machine that does nothing else
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 900
    return message.removeprefix(f"{path.parent}/")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return path


LAUGHS = ", ".join(
    ["&a0 [x, x, x, x]", *(f"&a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9))]
)
MERGES = "m0: &m0 {a: 1}\n" + "".join(
    f"m{i}: &m{i}\n  <<: [{','.join([f'*m{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
ANCHOR = "not YAML (an anchor or alias; write the value itself)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"name: [{LAUGHS}]\nrecipe: {{dataset: a}}\n", f"s.yaml:1: {ANCHOR}"),
        (f"recipe: {{dataset: a}}\n{MERGES}", f"s.yaml:2: {ANCHOR}"),
        ("recipe: {dataset: *gone}\n", f"s.yaml:1: {ANCHOR}"),
        (
            "recipe:\n  <<: {dataset: a}\n",
            "s.yaml:2: not YAML (could not determine a constructor for the tag "
            "'tag:yaml.org,2002:merge')",
        ),
        ("[" * 10**5, "s.yaml:1: not YAML (nested more than 20 deep)"),
        ("- " * 5000, "s.yaml:1: not YAML (nested more than 20 deep)"),
        ("a: b\n" * 20000, "s.yaml:1000: not YAML (more than 2,000 values)"),
        ("%YAML 1." + "1" * 5000 + "\n---\na: b\n", None),
        ('name: "\\UFFFFFFFF"\n', None),
        ("? [a]\n: b\n", "s.yaml:1: not YAML (found unhashable key)"),
        ("a: 1\n---\nb: 2\n", "s.yaml:2: not YAML (but found another document)"),
        ("name: " + "long " * 3000, "s.yaml:1: name: a text of 14,999 characters; write one of at "
         "most 10,000"),
        ('name: "\\ud800"\nrecipe: {}\n', "s.yaml:1: name: half a character (a surrogate); "
         "write it whole"),
        ("recipe: {dataset: a}\n" + '"a\\nb\\e[2J": 1\n', "s.yaml:2: a�b�[2J: unknown; known are "
         "name, description, recipe"),
    ],
)  # fmt: skip
def test_what_no_space_holds_is_refused_before_it_grows(tmp_path, text, message):
    said = refusal(written(tmp_path, text))
    assert said.startswith("s.yaml:1: not YAML (") if message is None else said == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("batch_norm: !!bool abc", "batch_norm: 'abc' cannot be read as bool; write another value"),
        ("epochs: !!int ''", "epochs: '' cannot be read as int; write another value"),
        ("epochs: 0b__", "epochs: '0b__' cannot be read as int; write another value"),
        ("dropout: !!float abc", "dropout: 'abc' cannot be read as float; write another value"),
        ("dropout: !!timestamp x", "dropout: x is a date in YAML; put it in quotes"),
        ("optimizer: 2020-13-45", "optimizer: 2020-13-45 is a date in YAML; put it in quotes"),
        ("epochs: !!map abc", "not YAML (could not determine a constructor for the tag "
         "'tag:yaml.org,2002:map')"),
        ("epochs: !!int [1]", "not YAML (could not determine a constructor for the tag "
         "'tag:yaml.org,2002:int')"),
        ("epochs: !!timestamp {a: 1}", "not YAML (could not determine a constructor for the tag "
         "'tag:yaml.org,2002:timestamp')"),
        ("epochs: 1" + "0" * 5000, "epochs: a number of 5,001 characters; write one of at most "
         "100"),
        ("epochs: 0x" + "f" * 5000, "epochs: a number of 5,002 characters; write one of at most "
         "100"),
        ("epochs: " + "1:" * 20000 + "1", "epochs: a number of 40,001 characters; write one of at "
         "most 100"),
        ("learning_rate: {low: 1" + "0" * 400 + ", high: 2}", "learning_rate: low: a number of 401 "
         "characters; write one of at most 100"),
        ("learning_rate: 1" + "0" * 99, "learning_rate: 1" + "0" * 99 + " is not a positive number "
         "below 100"),
        ("learning_rate: {low: 0.1, low: 0.2, high: 1}", "low: is already given in line 3"),
        ("dropout: {low: -.inf, high: .nan}", "dropout: low -inf is not finite"),
    ],
)  # fmt: skip
def test_values_that_no_recipe_has_are_refused_with_file_line_and_key(tmp_path, value, message):
    path = written(tmp_path, f"recipe:\n  dataset: digits\n  {value}\n")
    assert refusal(path) == f"s.yaml:3: {message}"


@pytest.mark.parametrize("text", ["\n" * 2**17, "a: '" + "b\n" * (2**16 - 4) + "'"])
def test_the_largest_file_takes_no_long_time(tmp_path, text):
    assert refusal(written(tmp_path, text))


@pytest.mark.parametrize("text", [f"name: [{LAUGHS}]", MERGES, "a: [" + "b, " * 40_000 + "]"])
def test_memory_is_bounded(tmp_path, text):
    path = written(tmp_path, text)
    tracemalloc.start()
    try:
        refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10**7


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "itself.yaml").symlink_to("itself.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (2**17 + 1))
    said = {
        name: refusal(tmp_path / f"{name}.yaml") for name in ("fifo", "zero", "itself", "large")
    }
    regular = (
        "cannot be read as text: is not a regular file (a folder, a device, a pipe or a link to "
        "one); put a file there, or remove it"
    )
    assert said["fifo"] == f"fifo.yaml: {regular}"
    assert said["zero"] == f"zero.yaml: {regular}"
    assert said["itself"].startswith("itself.yaml: cannot be read as text ([Errno 40] Too many")
    assert said["large"].startswith("large.yaml: cannot be read as text: has 131,073 bytes, ")


def test_a_name_too_long_to_be_one_is_no_space():
    with pytest.raises(UsageError, match="xxx: no such space; presets are demo"):
        preset("x" * 5000)


def test_plain_values_come_as_from_any_reader(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(
        b"\xef\xbb\xbfa: [1, 2.5, true, ~, 'x', 0x1f, !!str 7]\r\n"
        b"b:\r\n  c: {d: no}\r\n  5: |\r\n   t\r\n"
    )
    file = PlainFile(path)
    assert file.values == {
        "a": [1, 2.5, True, None, "x", 31, "7"], "b": {"c": {"d": False}, 5: "t\n"}
    }  # fmt: skip
    assert file.lines == {("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", "d"): 3, ("b", "5"): 4}
