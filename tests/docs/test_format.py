"""The reader on the page about the format reads a zoo, with NumPy and pyarrow alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from support.format_page import CODE, PAGE
from support.small_units import SNAPSHOTS, open_writer, pairs, vector, write
from weightspace.zoo import VERSION, Zoo
from weightspace.zoo.format.tables import NETS
from weightspace.zoo.format.tables import SNAPSHOTS as SNAPSHOT_COLUMNS


@pytest.fixture
def zoo(tmp_path):
    for unit in (0, 1):
        write(open_writer(tmp_path), unit)
    return tmp_path


@pytest.fixture
def read_zoo():
    names: dict = {}
    exec(compile(CODE, "format.md", "exec"), names)
    return names["read_zoo"]


def test_the_reader_fits_forty_lines():
    assert len(CODE.splitlines()) <= 40


def test_the_reader_needs_neither_this_package_nor_torch():
    code = CODE + "\nimport sys\nassert not {'weightspace', 'torch', 'polars'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_reader_reads_every_vector(zoo, read_zoo):
    found = {}
    for net, row, tensors in read_zoo(zoo, verify=True):
        layout = Zoo(zoo).layout(net["net"])
        assert list(tensors) == [spec.name for spec in layout.tensors]
        assert [t.shape for t in tensors.values()] == [spec.shape for spec in layout.tensors]
        assert net["dataset"] == "digits"
        found[net["net"], row["snapshot"]] = np.concatenate([t.ravel() for t in tensors.values()])
    expected = {(r.net, k): vector(r, k) for unit in (0, 1) for r, k in pairs(unit)}
    assert len(expected) == 8 * SNAPSHOTS
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])


def test_the_reader_notices_a_flipped_bit(zoo, read_zoo):
    shard = zoo / "shards/unit-001.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    last = list(pairs(1))[-1]
    with pytest.raises(ValueError, match=f"{last[0].net}, snapshot {SNAPSHOTS} is damaged"):
        list(read_zoo(zoo, verify=True))


def test_the_page_names_the_version_and_every_column():
    assert f"# The zoo on disk, version {VERSION}" in PAGE
    for name in NETS.names[:5] + NETS.names[-5:]:
        assert f"`{name}`" in PAGE, name
    for name in SNAPSHOT_COLUMNS.names:
        if name.startswith(("train_", "validation_", "test_")):
            of, what = name.split("_")
            assert f"`{of}_`" in PAGE
            assert f"`{what}`" in PAGE
        else:
            assert f"`{name}`" in PAGE, name
