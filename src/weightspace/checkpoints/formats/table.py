"""All forms of files, in the order in which they are tried; a new one is a module and a line."""

from __future__ import annotations

from weightspace.checkpoints.contents import Form
from weightspace.checkpoints.formats import safetensors, torchfiles

FORMS: tuple[Form, ...] = (torchfiles.ZIPPED, torchfiles.PICKLED, safetensors.FORM)
"""Each by its content: names decide only where two forms begin alike."""
