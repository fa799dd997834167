"""Pickles made to hang, crash, fill memory or show what lies in it: each ends in one line."""

from __future__ import annotations

import gc
import struct
import warnings
from pathlib import Path

import pytest

from support.hostile_pickles import (
    FALSE,
    NONE,
    ORDERED,
    TRUE,
    UTILS,
    WEIGHT,
    bounded,
    call,
    dict_of,
    get,
    legacy,
    name,
    number,
    put,
    storage,
    tensor,
    text,
    tuple_of,
    with_weight,
    zipped,
)
from weightspace.checkpoints import read_checkpoint
from weightspace.checkpoints.pickling.machine import LIMIT
from weightspace.errors import DataError

ENCODE, SET = name("_codecs", "encode"), name("builtins", "set")
DICT = name("collections", "OrderedDict")
WIDE = tensor(storage(), (2**28, 2), (0, 1))
DOUBLED = number(1) + b"\x85q\x00" + b"h\x00\x86q\x00" * 60
CHINESE = text("".join(chr(0x4E00 + k * 7919 % 20_000) for k in range(60_000)))
TYPED = name("torch._tensor", "_rebuild_from_type_v2")
V2 = name(UTILS, "_rebuild_tensor_v2")
PLAIN = tuple_of(*map(number, (2, 2))), tuple_of(*map(number, (2, 1)))
UNSAFE = "refused; its pickle does something that weights files never do"


def refusal(path: Path, content: bytes, memory: int = 2**29) -> str:
    path.write_bytes(content)
    with bounded(memory=memory), pytest.raises(DataError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert gc.isenabled()
    return message.removeprefix(f"{path}: ")


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "net.pt"
    file.write_bytes(with_weight(NONE))
    assert read_checkpoint(file).vector.tolist() == [1, 2, 3, 4]  # the good weight of all below
    return file


def keyed(key: bytes) -> bytes:
    return zipped(dict_of((text("fc.weight"), WEIGHT), (key, NONE)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (keyed(number(1) + b"\x85" * 500_000), "a tuple of more than a few words and small"),
        (keyed(DOUBLED), "a tuple of more than a few words and small numbers as a key"),
        (with_weight(call(SET, b"]" + DOUBLED + b"a")), "a tuple of more than a few words"),
        (keyed(tuple_of(*[text("x")] * 4)), "a tuple of more than a few words"),
        (keyed(tuple_of(number(2**20))), "a tuple of more than a few words"),
        (keyed(number(2**61 - 1)), r"a number of 2\*\*50 or more as a key"),
        (keyed(b"]"), "a list as a key"),
        (keyed(text("w\ud800.weight")), r"a key that is not text: 'w\\ud800.weight'"),
        (with_weight(call(ENCODE, CHINESE, text("punycode"))), "text encoded as 'punycode'"),
        (with_weight(call(ENCODE, CHINESE, text("idna"))), "text encoded as 'idna'"),
        (with_weight(call(name("builtins", "bytearray"), number(5 * 10**9))), "a bytearray of"),
        (zipped(b"(" * 10**7), "more than 1,000 marks within each other"),
        (zipped(NONE + put(2**32 - 1)), "a memo of more than 3,145,728 entries"),
        (zipped(NONE + b"}b"), "a state for a NoneType"),
        (zipped(NONE + b"}R"), "a call of a"),
        (with_weight(call(name("torch", "Tensor"), number(16), number(16))), "a tensor whose val"),
        (with_weight(call(name("torch", "FloatTensor"), number(16))), "a tensor whose values"),
        (with_weight(name("torch", "Tensor") + tuple_of(number(16)) + b"\x81"), "a tensor whose"),
        (with_weight(call(name("torch.storage", "UntypedStorage"), number(99))), "a call of a"),
        (with_weight(call(name("torch.storage", "TypedStorage"), number(99))), "a storage whose"),
        (
            with_weight(
                call(
                    name(UTILS, "_rebuild_device_tensor_from_cpu_tensor"),
                    *(WIDE, name("torch", "float64"), text("cpu"), FALSE),
                )
            ),
            "a tensor that changes its dtype when it is read",
        ),
    ],
)
def test_what_no_weights_need_is_named(path, content, message):
    with pytest.raises(DataError, match=rf"{UNSAFE} \({message}"):
        raise DataError(path, refusal(path, content, 2**27))


@pytest.mark.parametrize(
    ("flood", "message"),
    [
        (NONE * (LIMIT - 100), "more than 3,145,728 opcodes"),
        (NONE + b"".join(map(put, range(3_200_000))), "more than 3,145,728 opcodes"),
        (b"]" + b"\x8fa" * 7_000_000, "more than 1,048,576 containers"),
        (number(1) + b"\x85" * 7_000_000, "more than 1,048,576 containers"),
        (DICT + b"q\x00]" + b"h\x00)Ra" * 3_000_000, "more than 1,048,576 containers"),
        (b"}" + (NONE + NONE + b"s") * 2_000_000, "more than 1,048,576 containers"),
    ],
    ids=["nothing", "memo", "sets", "tuples", "calls", "entries"],
)
def test_a_flood_of_opcodes_ends(path, flood, message):
    assert refusal(path, zipped(flood)).startswith(f"{UNSAFE} ({message})")


@pytest.mark.parametrize("kind", ["text", "bytes", "sizes", "sets"])
def test_copies_without_end_are_counted(path, kind):
    function, argument = {
        "text": (ENCODE, text("x" * 2**20)),
        "bytes": (name("builtins", "bytearray"), b"B" + struct.pack("<I", 2**20) + bytes(2**20)),
        "sizes": (name("torch", "Size"), tuple_of(*[number(1)] * 60)),
        "sets": (SET, b"](" + b"".join(map(number, range(10_000))) + b"e"),
    }[kind]
    more = text("latin1") if kind == "text" else b""
    once = get(0) + b"(" + get(1) + more + b"tRa"
    content = function + put(0) + b"0" + argument + put(1) + b"0]" + once * 100_000
    assert refusal(path, with_weight(content), 2**28).startswith(f"{UNSAFE} (more than 1,048,576")


@pytest.mark.parametrize(
    "keys",
    [
        [number(k * (2**50 // 300_000)) for k in range(300_000)],
        [b"G" + struct.pack(">d", k * 2.0**40) for k in range(300_000)],
        [number(k % 1000) + number(k // 1000) + b"\x86" for k in range(300_000)],
    ],
    ids=["numbers", "fractions", "pairs"],
)
def test_keys_chosen_to_collide_take_no_longer(path, keys):
    path.write_bytes(with_weight(b"}(" + b"N".join(keys) + b"Nu"))
    with bounded():
        assert read_checkpoint(path).layout.size == 4


def test_nesting_without_end_is_harmless(path):
    for value in (number(1) + b"\x85" * 400_000, b"]" * 400_000 + b"a" * 399_999):
        path.write_bytes(with_weight(value))
        with bounded():
            assert read_checkpoint(path).layout.size == 4


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tensor(storage(), (2, 3), (3, 1)), "a tensor takes values up to byte 24 of a storage of"),
        (tensor(storage(), (2, 2), (2, 1), offset=1), "a tensor takes values up to byte 20"),
        (tensor(storage(), (2, 2), (2**62, 1)), "a tensor takes values up to byte"),
        (tensor(storage(), (2, 2), (-2, 1)), "a shape, stride or offset is not a whole number"),
        (tensor(storage(), (2, 2), (1,)), "a tensor with wrong strides"),
        (tensor(storage(), (2**63,), (0,)), "a shape, stride or offset is not a whole number"),
        (tensor(storage(), (1,) * 65, (1,) * 65), "a shape is not a tuple of at most 64 numbers"),
        (tensor(storage(4), (2, 2), (2, 1), offset=2**64), "a tensor with wrong strides"),
        (tensor(storage(8), (2, 2), (2, 1)), "storage 0 has 32 bytes by its pickle, and 16 in"),
        (tensor(storage(3), (3,), (1,)), "storage 0 has 12 bytes by its pickle, and 16 in the fi"),
        (tensor(storage(-1), (2, 2), (2, 1)), "a shape, stride or offset is not a whole number"),
        (tensor(storage(2**64), (2, 2), (2, 1)), "a shape, stride or offset is not a whole number"),
        (tensor(storage(key="1"), (2, 2), (2, 1)), "the values of storage 1 are not in the file"),
        (tensor(storage(key="../data.pkl"), (2, 2), (2, 1)), "the values of storage ../data.pkl"),
        (tensor(NONE, (2, 2), (2, 1)), "a tensor without a storage"),
        (
            tensor(storage(), (2, 2), (2, 1), dict_of((text("conj"), TRUE))),
            "a tensor of real numbers that are conjugated",
        ),
        (call(V2, NONE), "torch._utils._rebuild_tensor_v2 is called in a way that torch never"),
        (call(TYPED, SET, SET, tuple_of(), NONE), "a tensor that is not rebuilt by a function"),
        (call(TYPED, TYPED, SET, tuple_of(), NONE), "a tensor that is not rebuilt by a function"),
        (call(name("builtins", "complex"), number(10**400), number(0)), "its pickle cannot be"),
        (b"h\x09", "its pickle uses an entry that does not exist"),
        (b"X\xff\xff\xff\xff", "its pickle is cut short"),
        (b"\x8e" + b"\xff" * 8, "its pickle is cut short"),
        (b"\x96" + struct.pack("<Q", 5 * 10**9), "its pickle is cut short"),
    ],
)
def test_a_tensor_that_its_storage_does_not_hold_is_refused(path, value, message):
    content = zipped(dict_of((text("fc.weight"), value)))
    said = refusal(path, content, 2**27)
    assert said.startswith(f"damaged, or not a torch file ({message}")
    assert said.endswith("; fetch it again")


def test_one_value_does_not_become_any_number(path):
    for value in (WIDE, call(name(UTILS, "_rebuild_parameter"), WIDE, TRUE, ORDERED)):
        content = zipped(dict_of((text("fc.weight"), value)))
        said = refusal(path, content, 2**27)
        assert said.startswith("claims 536,870,912 values in ")


def test_one_tensor_under_more_names_than_any_net_has(path):
    names = b"".join(text(f"{k}.weight") + get(0) for k in range(40_000))
    content = b"}" + text("w") + WEIGHT + put(0) + b"s(" + names + b"u"
    assert refusal(path, zipped(content)) == (
        "refused; 40,001 entries are side by side in it, at most 32,768 are read; "
        "save model.state_dict() alone"
    )


def test_attributes_of_a_tensor_are_none_of_ours(path):
    for attribute in ("numel", "detach", "__dict__", "shape", "storage"):
        state = dict_of((text(attribute), number(0)))
        kind = name("torch", "Tensor")
        made = tuple_of(storage(), number(0), *PLAIN, FALSE, ORDERED)
        path.write_bytes(zipped(dict_of((text("fc.weight"), call(TYPED, V2, kind, made, state)))))
        assert read_checkpoint(path).vector.tolist() == [1, 2, 3, 4]


def test_a_negative_tensor_without_values_is_left_out(path):
    numbers = (tuple_of(number(2), number(2)), tuple_of(number(2), number(1)))
    arguments = (name("torch", "float32"), *numbers, FALSE)
    meta = name(UTILS, "_rebuild_meta_tensor_no_storage")
    negative = dict_of((text("neg"), TRUE))
    made = call(TYPED, meta, name("torch", "Tensor"), tuple_of(*arguments), negative)
    path.write_bytes(with_weight(made))
    assert read_checkpoint(path).vector.tolist() == [1, 2, 3, 4]
    said = refusal(path, with_weight(call(meta, *arguments) + negative + b"b"))
    assert "a tensor filled with an invalid state" in said


# ---- values that stand nowhere, or in two places


def test_an_older_file_without_values_shows_nothing_of_the_memory(path):
    content = dict_of((text("fc.weight"), tensor(storage(4, NONE), (2, 2), (2, 1))))
    values = struct.pack("<q4f", 4, 1, 2, 3, 4)
    path.write_bytes(legacy(content, "0") + values)
    assert read_checkpoint(path).vector.tolist() == [1, 2, 3, 4]
    for file, message in (
        (legacy(content) + values, "the values of storage 0 are not in the file"),
        (legacy(content, "0") + values[:-1], "storage 0 has 16 bytes by its pickle; there are"),
        (legacy(content, "0"), "storage 0 has 16 bytes by its pickle; there are 0 values from"),
        (legacy(content, "0") + struct.pack("<q", 2**62), "storage 0 has 16 bytes by its pickle"),
        (legacy(content, "0", "0") + 2 * values, "storage 0 is unknown or in it twice"),
        (legacy(content, "1") + values, "storage 1 is unknown or in it twice"),
    ):
        assert message in refusal(path, file)


def test_an_older_file_is_not_read_beyond_the_limit(path):
    assert refusal(path, legacy(text("x" * LIMIT))).startswith(f"{UNSAFE} (it has more than ")


def test_no_name_stands_twice_in_an_archive(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = zipped(dict_of((text("fc.weight"), WEIGHT)), ("data/0", b"\1" * 16))
    assert refusal(path, content) == (
        "refused; a/data/0 is in it twice; no library writes such a file; "
        "fetch it again from its source"
    )


def forged(content: bytes, member: bytes, offset: int, form: str, *values: int) -> bytes:
    """The archive with numbers of its directory's entry for a member changed."""
    at = content.rindex(member) - 46 + offset
    return content[:at] + struct.pack(form, *values) + content[at + struct.calcsize(form) :]


def test_members_of_an_archive_lie_where_their_own_headers_say(path):
    sound = zipped(dict_of((text("fc.weight"), WEIGHT)), ("data/1", b"\0" * 16))
    at = sound.index(b"a/data/1") - 30
    longer = sound.index(b"a/version") - sound.index(b"a/data/0")
    for content, message in (
        (forged(sound, b"a/data/0", 42, "<L", at), "a/data/0 is another member where it lies"),
        (forged(sound, b"a/data/0", 42, "<L", 2**31), "a zip archive that is cut short"),
        (forged(sound, b"a/data/0", 24, "<L", longer), "a/data/0 is compressed"),
        (forged(sound, b"a/data/0", 8, "<H", 1), "a/data/0 is compressed"),  # or encrypted
        (forged(sound, b"a/data/0", 20, "<LL", longer, longer), "a/data/0 and a/version overlap"),
        (forged(sound, b"a/data/1", 20, "<LL", 17, 17), "a/data/1 goes on into the archive's"),
    ):
        assert message in refusal(path, content)
    # Values that begin a byte further: the name's header says that one more byte stands before.
    at = sound.index(b"a/data/1") - 30
    longer = sound[: at + 28] + b"\1" + sound[at + 29 :]
    assert "a/data/1 is another member where it lies" in refusal(path, longer)


def test_an_archive_of_more_members_than_any_net_has_is_not_listed(path):
    entry = b"PK\1\2" + bytes(42)
    directory = entry * 200_000
    end = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 200_000, 200_000, len(directory), 4
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 4 + len(directory), 1)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0)
    said = refusal(path, b"PK\3\4" + directory + end + locator + last)
    told = "refused; it has 200,000 members, listed in 9,200,000 bytes; at most 131,072 in"
    assert said.startswith(told)
