"""A published zoo: a repository that people, search engines and loaders read, and still a zoo."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys

import pyarrow.parquet as pq
import pytest
import yaml

from support.commands import document, printed, refused
from support.hub import Hub
from support.populations import synthetic_zoo
from support.small_units import open_writer
from weightspace.errors import DataError, UsageError
from weightspace.interop import publish
from weightspace.interop.card import LICENCES
from weightspace.zoo import Zoo, check

REPO = "some-lab/synthetic_nets.v1"


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("publishing") / "zoo", nets=20).path


@pytest.fixture(scope="module")
def made(zoo, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "deep" / "repo"
    authors = ["Ada | Lovelace", "{Charles} Babbage"]
    return publish(zoo, REPO, out, licence="cc-by-4.0", authors=authors, dry_run=True)


def front(folder) -> dict:
    _, head, _ = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head)


def test_the_repository_is_a_zoo_and_takes_no_second_space(zoo, made):
    assert check(made.folder, full=True) == []
    assert Zoo(made.folder).nets.equals(Zoo(zoo).nets)
    shards = list((zoo / "shards").iterdir())
    assert len(shards) > 1
    for shard in shards:
        assert (made.folder / "shards" / shard.name).stat().st_ino == shard.stat().st_ino
    assert made.url is None
    files = [file for file in made.folder.rglob("*") if file.is_file()]
    assert (made.files, made.bytes) == (len(files), sum(f.stat().st_size for f in files))


def test_every_file_is_summed_up(made):
    lines = (made.folder / "sha256sums.txt").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    files = {p.relative_to(made.folder).as_posix() for p in made.folder.rglob("*") if p.is_file()}
    assert sums.keys() == files - {"sha256sums.txt", "README.md"}  # which people edit
    for name, digest in sums.items():
        assert hashlib.sha256((made.folder / name).read_bytes()).hexdigest() == digest


def test_the_viewer_finds_tables_of_one_schema_with_all_rows(zoo, made):
    head = front(made.folder)
    assert (head["license"], head["pretty_name"]) == ("cc-by-4.0", "synthetic_nets.v1")
    assert head["size_categories"] == ["n<1K"]
    tables = {config["config_name"]: config["data_files"] for config in head["configs"]}
    whole = Zoo(zoo)
    for name, frame in (("nets", whole.nets), ("snapshots", whole.snapshots)):
        files = sorted(made.folder.glob(tables[name]))
        assert len({pq.read_schema(file).remove_metadata() for file in files}) == 1
        assert pq.read_schema(files[0]).names == frame.columns
        assert sum(pq.read_metadata(file).num_rows for file in files) == frame.height


def test_the_card_says_what_is_in_it_and_whose_images_were_seen(zoo, made):
    text = (made.folder / "README.md").read_text()
    counts = Zoo(zoo).nets.group_by("dataset").len()
    assert "20 trained nets with 100 snapshots" in text
    for name, count in counts.iter_rows():
        assert f"| {name} | {count} | " in text
    assert "| digits | " in text
    assert "scikit-learn's handwritten digits" in text
    assert "| strokes | " in text  # a set that nobody knows
    assert "not on record" in text
    assert "| `learning_rate` | 0.000" in text
    for column in (*Zoo(zoo).nets.columns, *Zoo(zoo).snapshots.columns):
        assert f"`{column}`" in text
    assert "@misc{some-lab-synthetic-nets-v1," in text
    assert "author = {{Ada   Lovelace} and {Charles  Babbage}}" in text
    cited = yaml.safe_load((made.folder / "CITATION.cff").read_text())
    assert cited["authors"] == [{"name": "Ada | Lovelace"}, {"name": "{Charles} Babbage"}]
    assert (cited["license"], cited["type"]) == ("CC-BY-4.0", "dataset")


def test_croissant_describes_every_column(zoo, made):
    told = json.loads((made.folder / "croissant.json").read_text())
    assert told["license"] == LICENCES["cc-by-4.0"]
    assert told["url"] == f"https://huggingface.co/datasets/{REPO}"
    fields = {one["name"]: [f["name"] for f in one["field"]] for one in told["recordSet"]}
    assert fields == {"nets": Zoo(zoo).nets.columns, "snapshots": Zoo(zoo).snapshots.columns}
    kinds = {f["@id"]: f["dataType"] for one in told["recordSet"] for f in one["field"]}
    assert kinds["nets/diverged"] == "sc:Boolean"
    assert kinds["nets/learning_rate"] == "sc:Float"
    assert kinds["snapshots/offset"] == "sc:Integer"
    assert kinds["snapshots/checksum"] == "sc:Text"
    for one in told["distribution"][1:]:
        assert list(made.folder.glob(one["includes"]))


@pytest.mark.filterwarnings("ignore")  # its dependencies'
def test_mlcroissant_finds_nothing_wrong_and_reads_the_tables(zoo, made):
    mlcroissant = pytest.importorskip("mlcroissant")
    file = made.folder / "croissant.json"
    dataset = mlcroissant.Dataset(jsonld=str(file), mapping={"repo": str(made.folder)})
    issues = dataset.metadata.ctx.issues
    assert (list(issues.errors), list(issues.warnings)) == ([], [])
    records = list(dataset.records("nets"))
    names = {record["nets/net"].decode() for record in records}
    assert names == set(Zoo(zoo).nets["net"])
    assert len(list(dataset.records("snapshots"))) == 100


@pytest.mark.filterwarnings("ignore")
def test_load_dataset_reads_the_tables(zoo, made, tmp_path):
    datasets = pytest.importorskip("datasets")
    for name, rows in (("nets", 20), ("snapshots", 100)):
        found = datasets.load_dataset(str(made.folder), name, cache_dir=str(tmp_path))
        assert found["train"].num_rows == rows


def test_a_licence_of_ones_own_is_in_the_repository(zoo, tmp_path):
    terms = tmp_path / "terms.txt"
    terms.write_text("Only on Sundays.")
    done = publish(zoo, REPO, tmp_path / "out", licence=str(terms), dry_run=True)
    assert (done.folder / "LICENSE").read_text() == "Only on Sundays."
    head = front(done.folder)
    assert (head["license"], head["license_link"]) == ("other", "LICENSE")
    told = json.loads((done.folder / "croissant.json").read_text())
    assert told["license"].endswith("/blob/main/LICENSE")


def test_what_is_unfinished_or_foreign_stays_behind(zoo, tmp_path):
    untidy = shutil.copytree(zoo, tmp_path / "untidy")
    (untidy / "secret.txt").write_text("mine")
    (untidy / "shards/notes.txt").write_text("mine")
    (untidy / "shards/unit-half.safetensors").write_bytes(b"half")
    (untidy / "states").mkdir()
    (untidy / "states/unit-x.safetensors").write_bytes(b"state")
    done = publish(untidy, REPO, tmp_path / "out", licence="mit", dry_run=True)
    names = {p.name for p in done.folder.rglob("*")}
    assert not names & {"secret.txt", "notes.txt", "unit-half.safetensors", "states"}
    assert check(done.folder, full=True) == []


def test_a_zoo_elsewhere_is_to_be_fetched_first(zoo, tmp_path):
    pytest.importorskip("fsspec")
    with pytest.raises(UsageError, match=r"its shards are not on this machine; fetch the zoo fir"):
        publish(f"file://{zoo}", REPO, tmp_path / "out", licence="mit", dry_run=True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"repo": "nobody"}, "nobody: is not the name of a repository; write OWNER/NAME"),
        ({"repo": "../../x"}, "is not the name of a repository"),
        (
            {"licence": "beerware"},
            "licence: 'beerware' is neither a file nor one of cc0-1.0, cc-by",
        ),
    ],
)
def test_arguments_that_cannot_work_are_refused(zoo, tmp_path, arguments, told):
    settings = {"repo": REPO, "licence": "mit", "out": tmp_path / "out"} | arguments
    with pytest.raises(UsageError, match=told):
        publish(zoo, dry_run=True, **settings)
    assert not (tmp_path / "out").exists()


def test_damage_is_not_published_and_nothing_is_overwritten(zoo, tmp_path):
    bad = shutil.copytree(zoo, tmp_path / "bad")
    shard = next((bad / "shards").iterdir())
    data = bytearray(shard.read_bytes())
    data[-2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"bad: shards/.*: net .* its values are damaged; run"):
        publish(bad, REPO, tmp_path / "out", licence="mit", dry_run=True)
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="full: has files in it, and nothing is overwritten"):
        publish(zoo, REPO, tmp_path / "full", licence="mit", dry_run=True)
    for inside in (zoo, zoo / "published"):
        with pytest.raises(UsageError, match="is inside the zoo"):
            publish(zoo, REPO, inside, licence="mit", dry_run=True)
    open_writer(tmp_path / "empty")
    with pytest.raises(UsageError, match="empty: has no nets"):
        publish(tmp_path / "empty", REPO, tmp_path / "out", licence="mit", dry_run=True)


# ---- the hub, which nobody has an account of here


def test_an_upload_that_was_stopped_goes_on_from_the_same_folder(zoo, tmp_path, monkeypatch):
    hub = Hub()
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    hub.fails = {"whoami": OSError("no\ntoken")}
    arguments = {"licence": "mit", "private": True}
    with pytest.raises(
        UsageError, match=r"does not know who you are \(no token\); run `hf auth lo"
    ):
        publish(zoo, REPO, tmp_path / "out", **arguments)
    hub.fails = {"upload_folder": OSError("line broken")}
    with pytest.raises(DataError, match=r"not uploaded to its end \(line broken\); .* to go on"):
        publish(zoo, REPO, tmp_path / "out", **arguments)
    (tmp_path / "out/.cache").mkdir()
    (tmp_path / "out/.cache/note").write_text("the hub package's own")
    with (tmp_path / "out/README.md").open("a") as card:
        card.write("\nThanks to all.\n")
    before = (tmp_path / "out/README.md").stat()
    done = publish(zoo, REPO, tmp_path / "out", **arguments)
    assert (tmp_path / "out/README.md").stat() == before
    assert done.url == f"https://huggingface.co/datasets/{REPO}"
    where = {"repo_id": REPO, "repo_type": "dataset"}
    assert hub.calls[-2:] == [
        ("create_repo", where | {"private": True, "exist_ok": True}),
        ("upload_folder", where | {"folder_path": str(tmp_path / "out")}),
    ]
    other = synthetic_zoo(tmp_path / "other", nets=4, seed=1).path
    with pytest.raises(UsageError, match="nothing is overwritten"):
        publish(other, REPO, tmp_path / "out", **arguments)
    for changed in ({"licence": "cc0-1.0"}, {"authors": ["B"]}, {"title": "T"}):
        with pytest.raises(UsageError, match="nothing is overwritten"):
            publish(zoo, REPO, tmp_path / "out", **(arguments | changed))


def test_without_the_hubs_package_the_command_that_installs_it_is_named(zoo, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        UsageError, match=r'pip install "weightspace\[hub\]", or give `dry_run=True`'
    ):
        publish(zoo, REPO, tmp_path / "out", licence="mit")
    assert not (tmp_path / "out").exists()


def test_the_command(zoo, tmp_path, capsys):
    options = ["publish", zoo, REPO, "--licence", "mit", "--dry-run"]
    said = printed(capsys, *options, "--out", tmp_path / "a")
    assert "files" in said
    assert "not uploaded" in said
    told = document(capsys, *options, "--out", tmp_path / "b", "--author", "A", "--author", "B")
    assert (told["repo"], told["url"]) == (REPO, None)
    assert "- name: B" in (tmp_path / "b/CITATION.cff").read_text()
    missing = refused(capsys, "publish", zoo, REPO, "--out", tmp_path / "c", "--dry-run")
    assert "--licence" in missing
