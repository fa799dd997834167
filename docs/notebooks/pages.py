"""MkDocs hook: each notebook here becomes a page, with the outputs that are stored in it.

Nothing is run. The text of a notebook is converted to Markdown, so that its links are checked, and
its page is searched and styled, like any other. Progress on standard error is left out. The
notebook itself lies beside its page, to be downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from mkdocs.structure.files import File, Files, InclusionLevel
from nbconvert import MarkdownExporter

NOTE = """
!!! note ""
    This page is a notebook with the outputs of one run.
    <a href="{name}" download>Download it</a> to run it yourself.
"""


class Notebook(File):
    """A notebook as a page. Links to the notebook lead to the page."""

    text: str

    def is_documentation_page(self) -> bool:
        """Whether it becomes an HTML page."""
        return True


FENCE = "````"  # longer than those of a Markdown text that a cell may print


def shown(output: Any) -> Any:
    """The output of a cell; text as a block of its own, that a style sheet can tell from code."""
    text = output.text if output.output_type == "stream" else output.data.get("text/plain", "")
    if output.output_type != "stream" and set(output.data) != {"text/plain"}:
        return output
    block = f"{FENCE} {{ .text .output }}\n{text.rstrip()}\n{FENCE}"
    return nbformat.v4.new_output("display_data", {"text/markdown": block})


def converted(path: Path) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook, and its images by name."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [shown(one) for one in cell.outputs if one.get("name") != "stderr"]
    text, resources = MarkdownExporter().from_notebook_node(
        notebook, {"output_files_dir": f"{path.stem}_files", "unique_key": path.stem}
    )
    title, _, rest = text.lstrip().partition("\n")
    return title + "\n" + NOTE.format(name=path.name) + rest, resources["outputs"]


def on_files(files: Files, config: Any) -> Files:
    """Replace each notebook by its page, its images and the notebook to download."""
    for file in [one for one in files if one.src_uri.endswith(".ipynb")]:
        folder = file.src_uri.rpartition("/")[0]
        page = Notebook(
            file.src_uri,
            config.docs_dir,
            config.site_dir,
            config.use_directory_urls,
            inclusion=InclusionLevel.INCLUDED,
        )
        page.text, images = converted(Path(file.abs_src_path))
        files.remove(file)
        files.append(page)
        content = Path(file.abs_src_path).read_bytes()
        beside = f"{folder}/{page.name}/{Path(file.src_uri).name}"
        files.append(File.generated(config, beside, content=content))
        for name, image in images.items():
            files.append(File.generated(config, f"{folder}/{name}", content=image))
    return files


def on_page_read_source(page: Any, config: Any) -> str | None:
    """The Markdown of a page that is a notebook."""
    return page.file.text if isinstance(page.file, Notebook) else None
