"""What is not read: what it is, as far as its first bytes or its name tell, and what to do."""

from __future__ import annotations

import re

from weightspace.checkpoints.contents import Contents, Form, Opened
from weightspace.checkpoints.formats.protobuf import BYTES, Budget, Message
from weightspace.checkpoints.messages import Refusal

_BY_HEAD = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run git lfs pull"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (b"BZh", "compressed with bzip2", "unpack it first"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstandard", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it, and name the checkpoint in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, and name the checkpoint in it"),
    (b"{", "JSON text, not weights", "name the file of the weights"),
    (b"\x12\x01\0\0\0\0\0\0", "MXNet's parameters, which are not read", "save them with np.savez"),
    (b"MATLAB 5.0", "a MATLAB file, which is not read", "save the arrays with np.savez"),
    (b"<?xml", "XML text, not a checkpoint", "download the file itself"),
)
_TENSORFLOW = "save the weights with model.save(name.keras), or as safetensors"
_INDEX_END = bytes.fromhex("57fb808b247547db")  # of a LevelDB table
_TF_INDEX = Refusal("the index of a TensorFlow checkpoint, which is not read", _TENSORFLOW)
_TF_DATA = Refusal("the values of a TensorFlow checkpoint, which is not read", _TENSORFLOW)
_SAVED_MODEL = Refusal("a TensorFlow SavedModel, which is not read", _TENSORFLOW)
_FROZEN = Refusal("a frozen graph of TensorFlow, which is not read", "convert it with tf2onnx")
_TFLITE = Refusal("a TensorFlow Lite model, which is not read", _TENSORFLOW)
_COREML = Refusal("a CoreML model, which is not read", "name the checkpoint it was made from")
_ORBAX = Refusal(
    "a folder that Orbax wrote, which is not read",
    "restore it in JAX, and save it with flax.serialization.to_bytes",
)
_SKLEARN = Refusal(
    "a scikit-learn model, no net",
    "save the weights of an MLPClassifier with np.savez, from coefs_ and intercepts_",
)
_JOBLIB = Refusal("a file that joblib wrote, which is not read", "save the arrays with np.savez")
_OLD_TAR = Refusal(
    "a torch file of before version 0.1.10, a tar archive",
    "load it with the torch that wrote it, and save it again as safetensors",
)
_TAR = Refusal("a tar archive", "unpack it, and name the checkpoint in it")
_TF_DATA_NAME = re.compile(r"\.data-\d{5}-of-\d{5}$")
_OLD_MEMBERS = ("sys_info", "pickle", "tensors", "storages")


def stranger(opened: Opened) -> Refusal:
    """What a file of no known form is."""
    head = opened.head
    for magic, cause, remedy in _BY_HEAD:
        if head.lstrip().startswith(magic):
            return Refusal(cause, remedy)
    if _is_page(head):
        return Refusal("a web page, not a checkpoint", "download the file itself")
    found = _of_protobuf(opened) or _by_end_or_name(opened)
    return found or Refusal(
        f"in no form of checkpoints that is known (it starts with {head[:8]!r})",
        "save the weights as safetensors",
    )


def strange_folder(names: set[str]) -> Refusal | None:
    """What a folder with these names is, if it is none whose files are read."""
    if "saved_model.pb" in names or "saved_model.pbtxt" in names:
        return _SAVED_MODEL
    if "Manifest.json" in names and "Data" in names:
        return _COREML
    if "_CHECKPOINT_METADATA" in names or "_METADATA" in names:
        return _ORBAX
    if any(name.endswith(".index") for name in names) and any(map(_TF_DATA_NAME.search, names)):
        return _TF_INDEX
    return None


def _by_end_or_name(opened: Opened) -> Refusal | None:
    name = opened.place.name
    if opened.size >= 48:
        opened.file.seek(opened.size - 8)
        if opened.file.read(8) == _INDEX_END:
            return _TF_INDEX
    if _TF_DATA_NAME.search(name):
        return _TF_DATA
    if opened.head[4:8] == b"TFL3":
        return _TFLITE
    if name.endswith(".pb"):
        return _FROZEN
    return None


def _of_protobuf(opened: Opened) -> Refusal | None:
    """What a protocol buffer is, by the numbers of its fields."""
    if opened.head[:1] != b"\x08":
        return None
    fields = []
    try:
        for one in Message(opened.file, 0, opened.size, Budget(64)).fields():
            fields.append((one.number, one.wire))
    except Refusal:
        pass
    numbers = [number for number, _ in fields]
    if any(200 <= number < 3000 for number in numbers) and numbers[0] == 1:
        return _COREML
    if (2, BYTES) in fields and set(numbers) <= {1, 2}:
        return _SAVED_MODEL if opened.place.suffix == ".pb" else None
    return None


def _is_page(head: bytes) -> bool:
    """Whether the first bytes are HTML or XML, possibly after comments."""
    rest = head.lstrip()
    while rest.startswith(b"<!--"):
        rest = rest[4:].partition(b"-->")[2].lstrip()
    return rest[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml"))


# ---- what begins as a form that is read


def _is_tar(opened: Opened) -> bool:
    return opened.head[257:262] == b"ustar"


def _is_joblib(opened: Opened) -> bool:
    """Whether it is a pickle of scikit-learn, or one with raw arrays between its opcodes."""
    head = opened.head
    return head[:1] == b"\x80" and (
        b"joblib.numpy_pickle" in head or head[2:64].find(b"sklearn.") >= 0
    )


def _refuse(opened: Opened) -> Contents:
    if _is_tar(opened):
        first = opened.head[:100].rstrip(b"\0").decode("latin1").split("/")
        raise _OLD_TAR if first[-1] in _OLD_MEMBERS or first[0] in _OLD_MEMBERS else _TAR
    if b"sklearn." in opened.head[:256]:
        raise _SKLEARN
    raise _JOBLIB


TAR = Form("tar archive", (), _is_tar, _refuse)
JOBLIB = Form("joblib", (), _is_joblib, _refuse)
