"""All forms of files, in the order in which they are tried; a new one is a module and a line."""

from __future__ import annotations

from weightspace.checkpoints.contents import Form
from weightspace.checkpoints.formats import (
    gguf,
    keras,
    msgpack,
    npy,
    npz,
    onnx,
    safetensors,
    shards,
    strangers,
    torchfiles,
)

FORMS: tuple[Form, ...] = (
    strangers.TAR,
    strangers.JOBLIB,
    npz.FORM,
    keras.ARCHIVE,
    torchfiles.ZIPPED,
    npy.FORM,
    torchfiles.PICKLED,
    gguf.FORM,
    keras.HDF5,
    safetensors.FORM,
    onnx.FORM,
    shards.FORM,
    msgpack.FORM,
)
"""Each by its content: names decide only where two forms begin alike."""
