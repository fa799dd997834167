"""Loading by name, the catalogue, the built-in sets, and the sets at hand in $WEIGHTSPACE_DATA."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from weightspace.errors import DataError
from weightspace.images import ImageSet, catalogue, known, load, search

BUILT_IN = tuple(known.BUILT_IN)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No image files but those a test makes."""
    monkeypatch.delenv("WEIGHTSPACE_DATA", raising=False)
    monkeypatch.setattr(search, "cache", lambda: tmp_path / "cache")


def save(folder: Path, name: str, side: int = 6, **replaced) -> Path:
    y = np.arange(20, dtype=np.uint8) % 4
    x = np.full((20, side, side, 3), 7, np.uint8)
    arrays = {"x_train": x, "y_train": y, "x_test": x[:4], "y_test": y[:4]} | replaced
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npz"
    np.savez_compressed(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def check_is_sound(images: ImageSet) -> None:
    for x, y in ((images.x_train, images.y_train), (images.x_test, images.y_test)):
        assert x.dtype == np.uint8
        assert x.ndim == 4
        assert x.shape[3] in (1, 3)
        assert y.dtype == np.int64
        assert y.shape == (len(x),)
        assert set(np.unique(y)) == set(range(len(images.classes)))
        assert x.std() > 5
    assert images.x_train.shape[1:] == images.x_test.shape[1:]


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_sets_are_sound_and_equal_at_every_making(name):
    first = load(name)
    check_is_sound(first)
    again = known.BUILT_IN[name].build()
    for field in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    sizes = known.BUILT_IN[name].sizes
    assert sizes == (len(first.x_train), len(first.x_test), first.x_train.shape[1:])
    assert np.ptp(np.bincount(first.y_test)) == 0


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_sets_share_no_image_between_train_and_test(name):
    images = load(name)
    train = {image.tobytes() for image in images.x_train}
    assert len(train) > 0.99 * len(images.x_train)
    assert not train & {image.tobytes() for image in images.x_test}


def test_what_a_caller_does_to_a_set_stays_with_the_caller():
    load("glyphs").x_train[:] = 0
    load("glyphs").y_train[:] = 0
    check_is_sound(load("glyphs"))


def test_built_in_sets_differ_in_brightness_and_contrast():
    # What makes "which data set?" answerable at all: their pixels have other moments.
    means = {name: load(name).x_train.mean() for name in BUILT_IN}
    assert means["digits"] + 30 < means["textures"] < means["glyphs"] - 30
    assert load("digits").x_train.std() > 1.5 * load("textures").x_train.std()


@pytest.mark.parametrize("name", ["glyphs", "textures"])
def test_classes_can_be_learned_but_not_from_raw_pixels(name):
    from sklearn.linear_model import RidgeClassifier

    images = load(name)
    x_train, x_test = (x.reshape(len(x), -1) / 255.0 for x in (images.x_train, images.x_test))
    accuracy = RidgeClassifier(alpha=1.0).fit(x_train, images.y_train).score(x_test, images.y_test)
    assert 0.15 < accuracy < 0.8


def test_importing_the_room_imports_neither_torch_nor_matplotlib():
    heavy = "{'torch', 'matplotlib', 'sklearn'}"
    code = f"import sys, weightspace.images; print({heavy} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_an_npz_is_loaded_by_name_with_its_labels_or_its_class_names(tmp_path):
    save(tmp_path, "mine")
    assert load("mine", tmp_path).classes == ("0", "1", "2", "3")
    save(tmp_path, "mine", classes=np.array(["ant", "bee", "cow", "dog", "eel"]))
    images = load("mine", str(tmp_path))
    assert images.classes == ("ant", "bee", "cow", "dog", "eel")
    assert images.x_train.shape == (20, 6, 6, 3)
    assert images.y_test.tolist() == [0, 1, 2, 3]


def test_an_npz_of_a_published_set_gets_its_class_names(tmp_path):
    save(tmp_path, "cifar10")
    assert load("cifar10", tmp_path).classes[3] == "cat"


def test_grey_images_without_a_channel_axis_get_one(tmp_path):
    x = np.zeros((20, 5, 7), np.uint8)
    save(tmp_path, "grey", x_train=x, x_test=x[:4])
    assert load("grey", tmp_path).x_train.shape == (20, 5, 7, 1)


def test_search_order_is_argument_then_variable_then_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIGHTSPACE_DATA", str(tmp_path / "variable"))
    places = [tmp_path / "argument", tmp_path / "variable", tmp_path / "cache"]
    assert search.directories(places[0]) == places
    for side, place in reversed(list(enumerate(places, start=4))):
        path = save(place, "mine", side=side)
        assert load("mine", places[0]).x_train.shape[1] == side
        entry = next(e for e in catalogue(places[0]) if e.name == "mine")
        assert (entry.where, entry.shape) == (str(path), (side, side, 3))


@pytest.mark.parametrize(
    ("platform", "variable", "ending"),
    [
        ("linux", "XDG_CACHE_HOME", "custom/weightspace/images"),
        ("linux", "", ".cache/weightspace/images"),
        ("darwin", "", "Library/Caches/weightspace/images"),
        ("win32", "LOCALAPPDATA", "custom/weightspace/images"),
        ("win32", "", "AppData/Local/weightspace/images"),
    ],
)
def test_the_cache_follows_the_platform(platform, variable, ending, monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "custom"))
    assert search.cache().as_posix().endswith(ending)


def test_the_catalogue_lists_every_set_with_its_state(tmp_path):
    mine = save(tmp_path, "mine")
    save(tmp_path, "cifar10")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    save(tmp_path, "digits")
    entries = {entry.name: entry for entry in catalogue(tmp_path)}
    states = {name: (entry.kind, entry.state) for name, entry in entries.items()}
    assert states == {
        "digits": ("built-in", "ready"),
        "glyphs": ("built-in", "ready"),
        "textures": ("built-in", "ready"),
        "mnist": ("original", "missing"),
        "fashion_mnist": ("original", "missing"),
        "cifar10": ("npz", "ready"),
        "svhn": ("original", "missing"),
        "stl10": ("original", "missing"),
        "broken": ("npz", "damaged"),
        "mine": ("npz", "ready"),
    }
    assert (entries["mine"].where, entries["mine"].shape) == (str(mine), (6, 6, 3))
    assert (entries["mine"].train, entries["mine"].test) == (20, 4)
    assert entries["cifar10"].note == "incomplete: the whole set has 50,000 + 10,000 images"
    assert entries["digits"].note == (
        f"{tmp_path / 'digits.npz'} is not used because a built-in set has this name; rename it"
    )
    assert entries["broken"].note == (
        f"{tmp_path / 'broken.npz'}: not a whole .npz archive (File is not a zip file); "
        "write or fetch the file again"
    )
    assert entries["mnist"].where == str(tmp_path / "mnist")


def test_the_catalogue_agrees_with_what_loading_gives(tmp_path):
    save(tmp_path, "mine")
    for entry in catalogue(tmp_path):
        if entry.state == "ready":
            images = load(entry.name, tmp_path)
            assert entry.shape == images.x_train.shape[1:]
            assert (entry.train, entry.test) == (len(images.x_train), len(images.x_test))
        else:
            with pytest.raises(DataError) as caught:
                load(entry.name, tmp_path)
            assert entry.note in str(caught.value)


def test_the_catalogue_unpacks_no_image(tmp_path, monkeypatch):
    save(tmp_path, "mine")
    monkeypatch.setattr(np, "load", lambda *a, **k: pytest.fail("the catalogue read an array"))
    for name in BUILT_IN:
        monkeypatch.setitem(
            known.BUILT_IN, name, known.BuiltIn(pytest.fail, *_rest(known.BUILT_IN[name]))
        )
    assert {entry.name for entry in catalogue(tmp_path)} >= {"mine", "glyphs"}


def _rest(built_in):
    return built_in.sizes, built_in.classes, built_in.note


def message(name: str, data_dir: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(name, data_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_set_names_every_place_and_the_files_that_belong_there(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIGHTSPACE_DATA", str(tmp_path / "variable"))
    cache = tmp_path / "cache"
    assert message("mnist", tmp_path) == (
        f"mnist: no files in {tmp_path}, {tmp_path / 'variable'} (no such folder), "
        f"{cache} (no such folder); put train-images-idx3-ubyte, train-labels-idx1-ubyte, "
        f"t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (or .gz) into {tmp_path / 'mnist'}, "
        f"from https://yann.lecun.com/exdb/mnist/, or mnist.npz into {tmp_path}"
    )


def test_a_set_with_a_file_short_names_that_file(tmp_path):
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "train_32x32.mat").touch()
    assert message("svhn", tmp_path) == (
        f"svhn: {tmp_path / 'svhn'} has no test_32x32.mat; put the rest of the set there, "
        "from http://ufldl.stanford.edu/housenumbers/ (format 2)"
    )


def test_pickled_cifar_batches_are_seen_and_left_alone(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    assert message("cifar10", tmp_path) == (
        f"cifar10: {folder} holds pickles, which are never opened; put the "
        "binary version next to it, from https://www.cs.toronto.edu/~kriz/cifar.html "
        "(binary version)"
    )


@pytest.mark.parametrize("name", ["fashion", "minst", "../mine", "", "a/b", "mine\n"])
def test_an_unknown_name_lists_the_known_ones(name, tmp_path):
    save(tmp_path, "mine")
    hint = {"fashion": "did you mean fashion_mnist? ", "minst": "did you mean mnist? "}
    with pytest.raises(DataError) as caught:
        load(name, tmp_path / "sub" if name == "../mine" else tmp_path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{name!r}: is not an image set; ")
    assert f"{hint.get(name, '')}known are digits, glyphs, textures, mnist, " in str(caught.value)


@pytest.mark.parametrize(
    ("replaced", "says"),
    [
        ({"y_test": None}, "no y_test, found x_test, x_train, y_train; an image set needs "
         "x_train, y_train, x_test, y_test"),
        ({"x_train": np.zeros((20, 6, 6, 3))}, "x_train is float64; images must be uint8, 0..255, "
         "and other numbers float32"),
        ({"x_train": np.zeros((20, 6, 6, 4), np.uint8)}, "x_train has shape [20, 6, 6, 4]; "
         "images must be [N, H, W] or [N, H, W, C] with C = 1 or 3"),
        ({"x_test": np.zeros((0, 6, 6, 3), np.uint8)}, "x_test has shape [0, 6, 6, 3]: no images; "
         "give at least one"),
        ({"x_test": np.zeros((4, 8, 6, 3), np.uint8)}, "x_train has images of 6x6x3, x_test of "
         "8x6x3; bring both to one size"),
        ({"y_train": np.zeros(19, np.uint8)}, "y_train has shape [19] for 20 images; give one "
         "label for each image"),
        ({"y_train": np.zeros(20)}, "y_train is float64; labels must be whole numbers"),
        ({"y_train": np.arange(20) - 1}, "y_train holds label -1; labels must start at 0"),
        ({"y_train": np.arange(20) + 2**40}, "y_train goes up to 1099511627795 but label 0 never "
         "occurs; number the classes 0, 1, 2, ... without gaps"),
        ({"y_train": np.arange(20) // 10 * 2}, "y_train goes up to 2 but label 1 never occurs; "
         "number the classes 0, 1, 2, ... without gaps"),
        ({"y_test": np.array([0, 1, 2, 4])}, "y_test holds label 4, but there are 4 classes; "
         "labels must be 0..3"),
        ({"y_train": np.full(20, 2**64 - 1, np.uint64)}, "y_train holds label "
         "18446744073709551615; labels must be 0..classes-1"),
        ({"y_train": np.array([object()] * 20)}, "y_train holds Python objects, which are never "
         "unpickled; save it as a plain array of whole numbers"),
        ({"classes": np.array([1, 2, 3, 4])}, "classes is int64 [4]; give one text a class, "
         "np.array([...], dtype=str)"),
    ],
)  # fmt: skip
def test_a_wrong_npz_is_refused_by_file_and_array(replaced, says, tmp_path):
    path = save(tmp_path, "mine", **replaced)
    assert message("mine", tmp_path) == f"{path}: {says}"


def test_a_damaged_npz_is_refused(tmp_path):
    path = save(tmp_path, "mine")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert message("mine", tmp_path) == (
        f"{path}: not a whole .npz archive (File is not a zip file); write or fetch the file again"
    )
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        # A flipped bit that no checksum covers may pass; what is refused is refused in one line.
        with contextlib.suppress(DataError):
            load("mine", tmp_path)
            continue
        assert message("mine", tmp_path).startswith(f"{path}: ")


def test_an_npz_header_is_not_believed_beyond_its_size(tmp_path):
    import io
    import zipfile

    header = io.BytesIO()
    claim = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 28, 28)}
    np.lib.format.write_array_header_1_0(header, claim)
    path = save(tmp_path, "mine", x_train=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", header.getvalue() + b"12345")
    assert message("mine", tmp_path) == (
        f"{path}: x_train expected 784,000,000,000,128 bytes by its header, found 133; "
        "write or fetch the file again"
    )


def test_an_unreadable_file_is_a_data_error(tmp_path, monkeypatch):
    path = save(tmp_path, "mine")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("zipfile.ZipFile", refuse)
    assert message("mine", tmp_path) == (
        f"{path}: cannot be read (Permission denied); check the file and its permissions"
    )


@pytest.fixture
def oddities(tmp_path):
    """A folder where what has the names of archives is no file."""
    os.mkfifo(tmp_path / "mnist.npz")
    (tmp_path / "zeros.npz").symlink_to("/dev/zero")
    (tmp_path / "itself.npz").symlink_to("itself.npz")
    (tmp_path / "nowhere.npz").symlink_to("gone")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "fashion_mnist").symlink_to("fashion_mnist")
    (tmp_path / "svhn").mkdir()
    os.mkfifo(tmp_path / "svhn" / "train_32x32.mat")
    (tmp_path / "svhn" / "test_32x32.mat").symlink_to("/dev/urandom")
    return tmp_path


NO_FILE = (
    "is not a regular file (a folder, a device, a pipe or a link to one); put a file there, or "
    "remove it"
)


@pytest.mark.parametrize(
    ("name", "file", "says"),
    [
        ("mnist", "mnist.npz", NO_FILE),
        ("zeros", "zeros.npz", NO_FILE),
        ("folder", "folder.npz", NO_FILE),
        ("svhn", "svhn/train_32x32.mat", NO_FILE),
        ("itself", "itself.npz", "cannot be read (Too many levels of symbolic links); check the "
         "file and its permissions"),
        ("fashion_mnist", "fashion_mnist/train-images-idx3-ubyte", "cannot be read (Too many "
         "levels of symbolic links); check the file and its permissions"),
        ("nowhere", "nowhere.npz", "cannot be read (No such file or directory); check the file and "
         "its permissions"),
    ],
)  # fmt: skip
def test_what_is_no_file_is_listed_as_damaged_and_never_waited_for(oddities, name, file, says):
    entry = {entry.name: entry for entry in catalogue(oddities)}[name]
    assert (entry.state, entry.note) == ("damaged", f"{oddities / file}: {says}")
    assert message(name, oddities) == entry.note


def test_links_of_the_user_are_followed(tmp_path):
    path = save(tmp_path / "elsewhere", "theirs")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.npz").symlink_to(path)
    (tmp_path / "link").symlink_to("here")
    assert load("mine", tmp_path / "link").x_train.shape == (20, 6, 6, 3)


def test_a_folder_in_the_place_of_one_file_is_passed_over_for_the_next_name(tmp_path):
    from weightspace.images.search import originals

    folder = tmp_path / "mnist"
    (folder / "train-images-idx3-ubyte").mkdir(parents=True)
    (folder / "train-images.idx3-ubyte").touch()
    found = originals(known.PUBLISHED["mnist"], tmp_path)
    assert found is not None
    assert found.paths == [folder / "train-images.idx3-ubyte"]


def test_the_home_of_nobody_is_a_data_error():
    with pytest.raises(DataError, match=r"^~nobody-of-that-name/x: there is no such user; name"):
        catalogue("~nobody-of-that-name/x")


AT_HAND = {
    "mnist": (60_000, 10_000, (28, 28, 1)),
    "fashion_mnist": (60_000, 10_000, (28, 28, 1)),
    "cifar10": (None, None, (32, 32, 3)),
    "svhn": (None, None, (32, 32, 3)),
    "stl10": (None, None, (32, 32, 3)),
}
DATA = os.environ.get("WEIGHTSPACE_DATA")


@pytest.mark.parametrize("name", AT_HAND)
def test_the_sets_at_hand_are_sound(name):
    entry = next((e for e in catalogue(DATA) if e.name == name), None) if DATA else None
    if entry is None or entry.state == "missing":
        pytest.skip(f"{name} is not in $WEIGHTSPACE_DATA ({DATA or 'not set'})")
    images = load(name, DATA)
    check_is_sound(images)
    train, test, shape = AT_HAND[name]
    assert images.x_train.shape[1:] == shape
    assert (train or len(images.x_train)) == len(images.x_train) == entry.train
    assert (test or len(images.x_test)) == len(images.x_test) == entry.test
    assert len(images.classes) == 10


def test_every_other_archive_at_hand_is_sound():
    entries = catalogue(DATA) if DATA else []
    others = [e for e in entries if e.kind == "npz" and e.name not in AT_HAND]
    if not others:
        pytest.skip(f"no further NAME.npz in $WEIGHTSPACE_DATA ({DATA or 'not set'})")
    for entry in others:
        assert entry.state == "ready", entry.note
        check_is_sound(load(entry.name, DATA))
