"""The notebooks of the site hold the outputs of one run; the slow test runs them."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from support.links import DOCS

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
SHRUNK = "WEIGHTSPACE_NOTEBOOK_NETS"
"""The environment variable that sets the number of nets that a notebook trains."""
LARGEST = 100_000  # bytes of an image, as base64


def cells(path: Path) -> list[dict]:
    """The cells of code."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [one for one in found if one["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_those_of_one_run_from_the_top(path):
    code = cells(path)
    assert [one["execution_count"] for one in code] == list(range(1, len(code) + 1))
    outputs = [output for one in code for output in one["outputs"]]
    assert any(one["output_type"] == "stream" for one in outputs)
    for one in outputs:
        assert one["output_type"] != "error"
        assert len(one.get("data", {}).get("image/png", "")) < LARGEST
        assert "/home/" not in json.dumps(one)
        assert "/tmp/" not in json.dumps(one)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    for package in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"install the extra docs: {package} is missing")
    import nbclient
    import nbformat

    monkeypatch.setenv(SHRUNK, "48")  # few nets: it runs, and finds little
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    # Warnings are errors in the kernel, too: a reader would see them.
    asked = "import warnings; warnings.simplefilter('error', DeprecationWarning)"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(asked))
    run = tmp_path / "run"
    run.mkdir()
    client = nbclient.NotebookClient(
        notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(run)}}
    )
    client.execute(env=os.environ.copy())
    said = [
        "".join(output.get("text", "")) for cell in notebook.cells if cell.cell_type == "code"
        for output in cell.outputs
    ]  # fmt: skip
    if path.stem == "checkpoint":
        verdicts = "".join(said)
        assert "contradicted  optimizer sgd" in verdicts
        assert "contradicted  epochs 20" in verdicts
        assert "0 contradicted" in verdicts  # of the true card
        assert (run / "net.html").is_file()
    else:
        assert any("48 nets" in text for text in said)
        assert any("95 % interval" in text or "points relative to" in text for text in said)
        assert (run / "population" / "zoo.json").is_file()
