"""The folder `app` as a Hugging Face Space: what it states, and that it starts as a Space does."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from support.app_server import free_port, needed, serving, tab
from support.chromium import until

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "app"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
KEYS = {
    *("title", "emoji", "colorFrom", "colorTo", "license", "short_description"),
    *("sdk", "sdk_version", "python_version", "app_file"),
}


def pins() -> dict[str, str]:
    lines = (SPACE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if re.match(r"\w", line))


def test_the_front_matter_and_the_pins_agree() -> None:
    _, front, _ = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    stated = yaml.safe_load(front)
    assert set(stated) == KEYS
    assert stated["sdk"] == "gradio"
    assert stated["sdk_version"] == pins()["gradio"]
    assert (SPACE / stated["app_file"]).is_file()
    assert stated["license"] == PROJECT["license"].lower()
    assert len(stated["short_description"]) <= 60  # the hub refuses longer ones
    assert any(stated["python_version"] in one for one in PROJECT["classifiers"])
    assert pins()["weightspace[app]"] == PROJECT["version"]


def test_the_pins_are_those_that_are_tested() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    tested = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))
    others = {name: pin for name, pin in pins().items() if not name.startswith("weightspace")}
    assert others == {name: tested[name] for name in others}


@pytest.mark.slow
def test_it_starts_as_a_space_does(tmp_path) -> None:
    needed()
    port = free_port()
    environment = {
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
        "SPACE_ID": "weightspace/weightspace",
        "SPACE_HOST": "weightspace-weightspace.hf.space",
        "SYSTEM": "spaces",
    }
    with serving(tmp_path, [sys.executable, "app.py"], port, SPACE, **environment) as server:
        with tab(server.url) as page:
            page.button("A card that is false").click()
            assert page.verdicts()["optimizer"] == "contradicted"
            assert page.complaints() == []
            assert page.foreign_requests() == []
        until(lambda: server.files() == [], "removal")
