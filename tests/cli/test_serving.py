"""`weightspace app` where it cannot serve; tests/app has what it does where it can."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from support.commands import refused


def test_without_the_extra_it_says_how_to_install_it(capsys: pytest.CaptureFixture[str]) -> None:
    if importlib.util.find_spec("gradio"):
        pytest.skip("Gradio is installed here")
    said = refused(capsys, "app")
    assert said == 'error: app: Gradio is not installed; pip install "weightspace[app]"'


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gradio", reason="pip install 'weightspace[app]' brings gradio")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(capsys, "app", "--port", str(port))
    assert said == f"error: port {port}: is taken; give another `--port`"
