"""The ways in and out of a zoo as a person types them."""

from __future__ import annotations

import pytest

from support.commands import document, printed, refused
from support.foreign_nws import SMALL, Net, write_table
from support.populations import synthetic_zoo
from weightspace.cli.app import run
from weightspace.zoo import Zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return synthetic_zoo(tmp_path_factory.mktemp("doors") / "zoo", nets=3)


def test_out_as_state_dicts_and_in_again(zoo, tmp_path, capsys):
    out = tmp_path / "states"
    said = printed(
        capsys, "export", zoo.path, out, "--format", "safetensors", "--snapshots", "1,-1"
    )
    assert "3 nets" in said
    assert len(list(out.rglob("*.safetensors"))) == 6
    made = document(capsys, "add", out, tmp_path / "again", "--known", out / "known.csv")
    assert (made["nets"], made["snapshots"], made["left_out"]) == (3, 6, {})
    again = Zoo(tmp_path / "again")
    for net in zoo.nets["net"]:
        assert (again.vector(net) == zoo.vector(net)).all()


def test_in_from_a_release_and_out_again(tmp_path, capsys):
    nets = {f"nws/{i}": Net(SMALL, i) for i in range(2)}
    for name, net in nets.items():
        net.write(tmp_path / "in" / name, snapshots=1)
    write_table(tmp_path / "in/nws_train.csv", nets)
    (tmp_path / "in/nws/1/weights/001.bin").write_bytes(b"cut")
    said = refused(capsys, "import", tmp_path / "in", tmp_path / "zoo", "--format", "nws")
    assert "001.bin: net nws/1: has 3 bytes" in said
    assert Zoo(tmp_path / "zoo").nets["net"].to_list() == ["0"]  # what was read stays
    arguments = ["import", tmp_path / "in", tmp_path / "zoo", "--format", "nws", "--skip"]
    assert run([str(a) for a in arguments]) == 0
    shown = capsys.readouterr()
    assert "left out: net 1: " in shown.err
    assert "1 dead" not in shown.out
    made = document(capsys, "export", tmp_path / "zoo", tmp_path / "out", "--format", "nws")
    assert (made["nets"], made["left_out"]) == (1, {})
    assert (tmp_path / "out/nws/0/weights/001.bin").read_bytes() == (
        tmp_path / "in/nws/0/weights/001.bin"
    ).read_bytes()


def test_wrong_usage_is_one_line(zoo, tmp_path, capsys):
    out = tmp_path / "out"
    assert "'h5' is unknown" in refused(capsys, "export", zoo.path, out, "--format", "h5")
    assert "'h5' is unknown" in refused(capsys, "import", tmp_path, out, "--format", "h5")
    assert "see `weightspace import --help`" in refused(capsys, "import", tmp_path, out)
    states = tmp_path / "states"
    printed(capsys, "export", zoo.path, states, "--format", "safetensors", "--snapshots", "-1")
    assert "has other files in it" in refused(capsys, "add", states, tmp_path)
    assert "blocks is 2, that of an NWS net 3" in refused(
        capsys, "export", zoo.path, out, "--format", "nws"
    )
    taken = refused(capsys, "export", zoo.path, tmp_path, "--format", "safetensors")
    assert "nothing is overwritten; choose another folder" in taken
    assert not out.exists()
