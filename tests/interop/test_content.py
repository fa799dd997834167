"""Files that strangers wrote: tables, matrices, settings and results made to hang or mislead."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import shutil
import struct

import numpy as np
import pytest

from support import foreign_modelzoos as trials
from support.foreign_nws import SMALL, Net, write_table
from support.hostile_folders import make, read, refused, soon
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.interop import add, import_zoo
from weightspace.interop.matrices import Matrix


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return make(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def there(sound, tmp_path):
    """A folder of each form, and beside them a place of somebody else's."""
    (tmp_path / "aside").mkdir()
    with soon():
        yield shutil.copytree(sound, tmp_path / "in")


# ---- tables

WIDE = "file," + ",".join(f"c{i}" for i in range(100_000)) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WIDE, r"row 1 is longer than 65,536 characters"),
        ("file," * 13_000, r"column 'file' is given twice"),
        ("c" + ",c".join(map(str, range(9_000))), r"column 'c0' is unknown"),
        ("file\n" + "x" * 70_000, r"row 2 is longer than 65,536 characters"),
        ('file\n"' + "x\n" * 40_000, r"row 2 is longer than 65,536 characters"),
        ('file\n"' + "x" * 65_000 + '"\n', r"file: 'x+...' leads out of the folder"),
        ('"' + "a\n" * 40_000 + '"', r"row 1 is longer than 65,536 characters"),
        ("file,dataset\ndeep/n0.pt,a\x1b[2J", r":2: dataset: 'a.\[2J' holds characters that cann"),
        ("file,dataset\ndeep/n0.pt,a\0b", r":2: dataset: 'a.b' holds characters that cannot be"),
        ('file,dataset\ndeep/n0.pt,"a\nb"', r":3: dataset: 'a.b' holds characters that cannot"),
        ("file,dataset\ndeep/n0.pt,a\u202eb", r":2: dataset: 'a.b' holds characters that cannot"),
        (
            "file,dataset\ndeep/n0.pt," + "x" * 201,
            r":2: dataset: has 201 characters, at most 200",
        ),
        ("file,net\ndeep/n0.pt,a\0b", r":2: net: 'a.b' holds characters"),
        ("file,net\ndeep/n0.pt,../x", r"net '../x' \(deep/n0.pt\): is not a valid name of a net"),
        ("file,step\ndeep/n0.pt," + "9" * 400, r":2: step: '9+...' is not a whole number from 0"),
        ("file,step\ndeep/n0.pt," + "9" * 5000, r":2: step: '9+...' is not a whole number from 0"),
        ("file,step\ndeep/n0.pt,1e400", r":2: step: '1e400' is not a whole number"),
        ("file,step\ndeep/n0.pt,1.0e400", r":2: step: '1.0e400' is not a whole number"),
        (
            "file,snapshot\ndeep/n0.pt,9007199254740993",
            r":2: snapshot: '9007199254740993' is not a w",
        ),
        ("file,epoch\ndeep/n0.pt,nan1", r":2: epoch: 'nan1' is not a number from 0"),
        ("file,epoch\ndeep/n0.pt," + "9" * 400, r":2: epoch: '9+...' is not a number from 0"),
        ("file,seed\ndeep/n0.pt," + "9" * 190, r":2: seed: 9+ is not a whole number from 0 to"),
        ("file,seed\ndeep/n0.pt," + "9" * 5000, r":2: seed: has 5,000 characters, at most 200 are"),
        ("file\ndeep/" + "x" * 300, r":2: file: 'deep/x+...' leads out of the folder"),
        ("file\n" + "d/" * 3000 + "n0.pt", r":2: file d/d/.*: is not in"),
        (b"file\n\xff\xff", r"known.csv: is not a CSV file in UTF-8"),
        (b"file\n\xed\xa0\x80.pt", r"known.csv: is not a CSV file in UTF-8"),
    ],
)
def test_tables_that_are_made_to_hang_or_mislead(there, tmp_path, content, message):
    data = content if isinstance(content, bytes) else content.encode()
    for name, written in (("known.csv", data), ("known.csv.gz", gzip.compress(data, 1))):
        (tmp_path / name).write_bytes(written)
        with pytest.raises(DataError, match=message.replace("known.csv", name)) as caught:
            add(there / "add", tmp_path / "zoo", known=tmp_path / name)
        assert str(caught.value).isprintable()
    assert not (tmp_path / "zoo").exists()


def named_without_end(data: bytes) -> bytes:
    """A packed file whose header holds a name of a megabyte."""
    packed = gzip.compress(data)
    return packed[:3] + b"\x08" + packed[4:10] + b"a" * 10**6


@pytest.mark.parametrize(
    ("pack", "message"),
    [
        (lambda data: gzip.compress(b"a," * 2**21, 1), r"has more than 2,097,152 bytes when unp"),
        (lambda data: gzip.compress(b"a" * 2**19, 1), r"row 1 is longer than 65,536"),
        (lambda data: gzip.compress(data) * 2, r"has more than one packed member"),
        (
            lambda data: gzip.compress(data) + gzip.compress(b"") * 10**4,
            r"more than one packed member",
        ),
        (named_without_end, r"cannot be read \(Compressed file ended before"),
        (lambda data: gzip.compress(data)[:-9], r"cannot be read \(Compressed file ended before"),
        (lambda data: gzip.compress(data)[:-5] + b"12345", r"cannot be read \(Error -3 while"),
        (lambda data: data, r"cannot be read \(Error -3 while"),
        (lambda data: b"", r"cannot be read \(Compressed file ended before"),
    ],
)
def test_packed_tables_are_unpacked_so_far_and_no_further(there, monkeypatch, pack, message):
    monkeypatch.setattr("weightspace.interop.sheets.LARGEST", 2**21)
    file = there / "packed/mnist/metrics.csv.gz"
    file.write_bytes(pack(gzip.decompress(file.read_bytes())))
    assert re.search(message, refused(there, "packed"))


def test_a_packed_table_with_zeros_at_its_end_is_read(there):
    file = there / "packed/mnist/metrics.csv.gz"
    file.write_bytes(file.read_bytes() + bytes(512))
    assert read(there, "packed").nets.height == 2


def test_more_rows_than_any_table_has(there, monkeypatch):
    monkeypatch.setattr("weightspace.interop.sheets._MOST_ROWS", 8)
    table = there / "unterthiner/mnist/metrics.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, *lines[1:], lines[1]]), newline="")
    assert "metrics.csv: has more than 8 rows; divide it" in refused(there, "unterthiner")


# ---- the matrix of vectors


def header(text: str, version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    data = text.encode("latin1")
    form = "<H" if version == (1, 0) else "<I"
    size = struct.pack(form, len(data) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + data


def shaped(shape: str, descr: str = "'<f4'", order: str = "False") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (shaped("(True, 4970)"), r"cannot be read \(the shape \(True, 4970\) is not possible\)"),
        (shaped("(4, True)"), r"cannot be read \(the shape"),
        (shaped("(-4, 4970)"), r"cannot be read \(the shape \(-4, 4970\) is not possible\)"),
        (shaped("(4, -4970)"), r"cannot be read \(the shape"),
        (shaped("(4.0, 4970)"), r"cannot be read \(shape is not valid"),
        (shaped("(1" + "0" * 300 + ", 4970)"), r"cannot be read \(has 77 .*|cannot be read \(has"),
        (shaped("(1" + "0" * 5000 + ", 4970)"), r"cannot be read \("),
        (shaped("(4611686018427387904, 4)"), r"cannot be read \(has \d+ bytes where its header"),
        (shaped("(4, 4970)", order="True") + bytes(4 * 4 * 4970), r"column by column \(Fortran"),
        (shaped("(4, 4970)", order="1"), r"cannot be read \(fortran_order is not a valid bool"),
        (shaped("(4, 4970)", "'|O'"), r"cannot be read \(it holds Python objects\)"),
        (shaped("(4, 4970)", "[('a', '<f4'), ('b', '|O')]"), r"cannot be read \(it holds Python"),
        (shaped("(4, 4970)", "'>f4'"), r"holds >f4 \[4, 4970\] instead of float32 \[snapshots"),
        (shaped("(4, 4970)", "'<f8'"), r"holds float64 \[4, 4970\] instead of float32"),
        (shaped("(4, 4970)", "'(9,)f4'"), r"holds .* \[4, 4970\] instead of float32"),
        (shaped("(4, 4970)", "'<f4,' * 9"), r"cannot be read \("),
        (shaped("(4, 4970)", "'('"), r"cannot be read \("),
        (shaped("(4, 4970)", "3"), r"cannot be read \("),
        (shaped("()"), r"holds float32 \[\] instead of float32 \[snapshots"),
        (shaped("(4,)"), r"holds float32 \[4\]"),
        (shaped("(0, 4970)"), r"has 0 rows of 4,970 values"),
        (shaped("(4, 0)"), r"has 4 rows of 0 values"),
        (shaped(str((1,) * 900)), r"holds float32 \[1, 1"),
        (header("-" * 9000 + "1"), r"cannot be read \("),
        (header("(" * 9000), r"cannot be read \("),
        (header("[" * 9000), r"cannot be read \("),
        (header("{" * 150 + "}" * 150), r"cannot be read \("),
        (header("__import__('os').abort()"), r"cannot be read \("),
        (header("'\\d'"), r"cannot be read \("),
        (header("{}" + " " * 60_000), r"cannot be read \("),
        (header("{}", (2, 0), 2**32 - 1), r"cannot be read \(EOF"),
        (header("{}", (3, 0)), r"cannot be read \("),
        (header("{}", (9, 0)), r"cannot be read \("),
        (header("\xff\xfe", (2, 0)), r"cannot be read \("),
        (b"\x93NUMPY", r"cannot be read \(EOF"),
        (b"PK\x03\x04" + bytes(100), r"cannot be read \(the magic"),
    ],
)
def test_headers_of_a_matrix_that_mislead(there, data, message):
    file = there / "unterthiner/mnist/weights.npy"
    file.write_bytes(data)
    told = refused(there, "unterthiner")
    assert str(file) in told
    assert re.search(message, told)


def test_rows_are_read_where_they_are_and_not_the_matrix(tmp_path):
    """A matrix of 16 GB, empty but for its last row, takes no more than a row of 16 MB."""
    rows, size = 1000, 2**22
    with (tmp_path / "weights.npy").open("wb") as file:
        start = file.write(shaped(f"({rows}, {size})"))
        file.seek(start + 4 * size * (rows - 1))
        file.write(np.ones(size, "<f4").tobytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    matrix = Matrix.of(InnerPath(tmp_path) / "weights.npy")
    assert [row.sum() for row in matrix.take([3, rows - 1])] == [0, size]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # KiB
    os.truncate(tmp_path / "weights.npy", start + 4 * size * rows - 1)
    with pytest.raises(DataError, match=r"where its header asks for 16,777,216,0"):
        Matrix.of(InnerPath(tmp_path) / "weights.npy")


def test_a_matrix_that_is_cut_short_while_it_is_read(there):
    file = there / "unterthiner/mnist/weights.npy"

    def cut(net: float, *_: object) -> None:
        if net:
            os.truncate(file, 1000)

    with pytest.raises(
        DataError, match=r"weights.npy: net mnist-00001: became shorter while it was re"
    ):
        import_zoo(
            there / "unterthiner",
            there.parent / "zoo",
            "unterthiner",
            progress=lambda task, done, total: cut(done),
        )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('k/kernel:0,0,0,0,"(0, 3)"', r"layout.csv:2: 'k/kernel:0' is not a kernel or bias that"),
        (
            'k/kernel:0,0,16777217,1,"(16777217, 1)"',
            r"ends at value 16,777,217, at most 16,777,216",
        ),
        (
            'k/kernel:0,0,1,1,"(4294967296, 4294967296)"',
            r"is not a kernel or bias",
        ),
        (
            'k/kernel:0,0,1,1,"(999999999, 999999999, 999999999, 999999999)"',
            r"1 values do not fit the shape",
        ),
        ('k/kernel:0,0,0,0,"(65536, 65536, 65536, 65536)"', r"0 values do not fit the shape"),
        ("k/kernel:0,0," + "9" * 400 + ',1,"(1, 1)"', r"end_idx: '9+...' is not a whole number"),
    ],
)
def test_layouts_that_ask_for_more_than_there_is(there, rows, message):
    file = there / "unterthiner/mnist/layout.csv"
    file.write_text("varname,start_idx,end_idx,size,shape\n" + rows)
    assert re.search(message, refused(there, "unterthiner"))


# ---- settings and results of trials


ITERATION = '{"training_iteration": 0, '


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "result.json",
            ITERATION + '"train_loss": 1' + "0" * 400 + "}",
            r"result.json:1: train_loss: 1000",
        ),
        (
            "result.json",
            ITERATION + '"train_loss": 1' + "0" * 9000 + "}",
            r"result.json:1: is not JSON \(Exc",
        ),
        (
            "result.json",
            ITERATION + '"test_acc": -1' + "0" * 400 + "}",
            r"result.json:1: test_acc: -1000",
        ),
        ("result.json", '{"config": ' + deep(90_000) + "}", r"result.json:1: is not JSON"),
        ("result.json", '{"a": "' + "a" * 2**20 + '"}', r"result.json:1: is longer than 1,048,576"),
        ("result.json", "\0", r"result.json:1: is not JSON"),
        ("params.json", '{"optim::lr": 1' + "0" * 400 + "}", r"optim::lr: learning_rate: 1000"),
        (
            "params.json",
            '{"optim::lr": 1' + "0" * 9000 + "}",
            r"params.json: is not JSON \(Exceeds",
        ),
        ("params.json", '{"optim::lr": NaN}', r"optim::lr: learning_rate: nan is not a positiv"),
        ("params.json", '{"optim::lr": -Infinity}', r"optim::lr: learning_rate: -inf is not"),
        ("params.json", '{"seed": 1e300}', r"params.json: seed: seed: 1000"),
        ("params.json", '{"seed": NaN}', r"params.json: seed: seed: nan is not a whole"),
        ("params.json", '{"seed": Infinity}', r"params.json: seed: seed: inf is not a whole"),
        ("params.json", '{"seed": 1' + "0" * 4000 + "}", r"params.json: seed: seed: 1000"),
        ("params.json", '{"seed": true}', r"params.json: seed: seed: True is not a whole"),
        ("params.json", '{"optim::lr": ' + deep(900) + "}", r"optim::lr: is not text or a number"),
        ("params.json", '{"optim::lr": ' + deep(90_000) + "}", r"params.json: is not JSON"),
        ("params.json", '{"model::nlin": {"a": 1}}', r"model::nlin: is not text or a number"),
        ("params.json", '{"model::nlin": "a\\u0000"}', r"model::nlin: .* is not a word of letters"),
        ("params.json", '{"model::nlin": "\\ud800"}', r"model::nlin: .* is not a word of letters"),
        (
            "params.json",
            '{"model::type": "\\u001b[2J"}',
            r"model::type: .* is not a word of letter",
        ),
        (
            "params.json",
            '{"model::nlin": "' + "a" * 10**5 + '"}',
            r"model::nlin: 'a+...' is not a wo",
        ),
        ("params.json", "[" * 10**6, r"params.json: is not JSON"),
        ("params.json", "1" * 10**6, r"params.json: is not JSON"),
    ],
)
def test_numbers_and_texts_of_trials_that_no_trial_has(there, file, content, message):
    (there / "modelzoos/t/a" / file).write_text(content)
    assert re.search(message, refused(there, "modelzoos"))


@pytest.mark.parametrize(
    ("row", "loss"),
    [
        ('"train_loss": NaN', None),
        ('"train_loss": Infinity', None),
        ('"train_loss": 1e400', None),
        ('"train_loss": true', None),
        ('"train_loss": "1"', None),
        ('"train_loss": -999', None),
        ('"train_loss": 3', 3.0),
    ],
)
def test_what_was_not_measured_is_unknown(there, row, loss):
    (there / "modelzoos/t/a/result.json").write_text(ITERATION + row + "}\n")
    assert read(there, "modelzoos").snapshots["train_loss"].to_list() == [loss, None]


@pytest.mark.parametrize("key", ["model::type", "dataset::dump", "training::data_path"])
@pytest.mark.parametrize("value", [deep(900), '{"a": 1}', "7", "true"])
def test_settings_of_other_kinds_say_nothing(there, key, value):
    config = {k: v for k, v in trials.CONFIG.items() if k != key}
    text = json.dumps(config)[:-1] + f', "{key}": {value}}}'
    (there / "modelzoos/t/a/params.json").write_text(text)
    assert read(there, "modelzoos").nets.height == 1


# ---- nets of the NWS form


def test_a_row_that_asks_for_half_a_billion_values(there):
    net = Net(SMALL, 1)
    cells = {"width_fc": 30_000, "width_conv": 8, "weightn_conv": 6256, "weightn_fc": 1}
    write_table(there / "nws/nws_main_train.csv", {"nws_main/0001": net}, {"nws_main/0001": cells})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "weightn_fc is 1, a net of these columns has 4" in refused(there, "nws")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16  # KiB
    cells["weightn_fc"] = _asked(refused(there, "nws"))
    write_table(there / "nws/nws_main_train.csv", {"nws_main/0001": net}, {"nws_main/0001": cells})
    (there / "nws/nws_main/0001/meta.csv").unlink()
    assert "001.bin: net nws_main/0001: has 170,080 bytes" in refused(there, "nws")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16  # KiB


def _asked(told: str) -> int:
    return int(told.split(" has ")[1].split(";")[0].replace(",", ""))


def test_rows_that_name_one_folder_are_refused_before_its_files_are_read_again(there):
    table = there / "nws/nws_main_train.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *[lines[1]] * 3000]), newline="")
    assert "net nws_main/0001: is there twice, also in" in refused(there, "nws")
