"""Image sets of the hub, read through a stand-in for the package `datasets`.

The stand-in has the parts of the interface that are used: `load_dataset`, a mapping of splits,
`features`, `select_columns`, and rows whose images are Pillow's.
"""

import sys
import types

import numpy as np
import pytest
from PIL import Image

from weightspace.errors import DataError
from weightspace.images import load


class ImageFeature:
    pass


class ClassLabel:
    def __init__(self, names):
        self.names = names


class Text:
    pass


class Split:
    def __init__(self, features, rows):
        self.features, self.rows = features, rows

    def select_columns(self, names):
        kept = {name: self.features[name] for name in names}
        return Split(kept, [{name: row[name] for name in names} for row in self.rows])

    def __iter__(self):
        return iter(self.rows)


@pytest.fixture
def hub(monkeypatch):
    """A hub of one data set: assign to `.splits`; `.asked` says how it was asked for."""
    module = types.ModuleType("datasets")
    module.Image, module.ClassLabel = ImageFeature, ClassLabel

    def load_dataset(path, name=None, **options):
        module.asked = (path, name, options)
        if isinstance(module.splits, Exception):
            raise module.splits
        return module.splits

    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


FEATURES = {"id": Text(), "picture": ImageFeature(), "kind": ClassLabel(["cat", "dog"])}


def picture(height, width, mode="RGB", seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def rows(sizes, mode="RGB"):
    return [
        {"id": str(i), "picture": picture(*size, mode, seed=i), "kind": i % 2}
        for i, size in enumerate(sizes)
    ]


def message(name="hub:owner/pets"):
    with pytest.raises(DataError) as caught:
        load(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_hub_set_is_read_by_its_kinds_of_columns(hub):
    sizes = [(10, 12)] * 6
    hub.splits = {name: Split(FEATURES, rows(sizes)) for name in ("train", "test", "validation")}
    images = load("hub:owner/pets")
    assert hub.asked == ("owner/pets", None, {"trust_remote_code": False})
    assert images.name == "hub:owner/pets"
    assert images.classes == ("cat", "dog")
    assert images.y_train.tolist() == [0, 1, 0, 1, 0, 1]
    assert images.x_train.shape == images.x_test.shape == (6, 10, 12, 3)
    for i in range(6):
        np.testing.assert_array_equal(images.x_train[i], np.asarray(picture(10, 12, seed=i)))


def test_a_config_is_the_third_part_of_the_name(hub):
    hub.splits = {name: Split(FEATURES, rows([(8, 8)] * 2)) for name in ("train", "test")}
    load("hub:owner/house-numbers/cropped_digits")
    assert hub.asked[:2] == ("owner/house-numbers", "cropped_digits")


def test_validation_stands_in_for_a_missing_test_split(hub):
    hub.splits = {
        "train": Split(FEATURES, rows([(8, 8)] * 4)),
        "validation": Split(FEATURES, rows([(8, 8)] * 3)),
    }
    assert len(load("hub:owner/pets").x_test) == 3


def test_grey_images_keep_one_channel_unless_others_have_colour(hub):
    hub.splits = {
        "train": Split(FEATURES, rows([(8, 8)] * 3, "L")),
        "test": Split(FEATURES, rows([(8, 8)] * 2, "1")),
    }
    images = load("hub:owner/pets")
    assert images.x_train.shape == (3, 8, 8, 1)
    np.testing.assert_array_equal(images.x_train[0, :, :, 0], np.asarray(picture(8, 8, "L")))
    assert set(np.unique(images.x_test)) == {0, 255}
    mixed = rows([(8, 8)], "L") + rows([(8, 8)], "RGBA") + rows([(8, 8)], "P")
    hub.splits = {"train": Split(FEATURES, mixed), "test": hub.splits["test"]}
    images = load("hub:owner/pets")
    assert images.x_train.shape == (3, 8, 8, 3)
    assert images.x_test.shape == (2, 8, 8, 3)


def test_the_size_of_most_images_becomes_that_of_all(hub):
    hub.splits = {
        "train": Split(FEATURES, rows([(8, 8), (16, 16), (8, 8)])),
        "test": Split(FEATURES, rows([(8, 8), (4, 6)])),
    }
    images = load("hub:owner/pets")
    assert images.x_train.shape == (3, 8, 8, 3)
    large = np.asarray(picture(16, 16, seed=1)).reshape(8, 2, 8, 2, 3).astype(float).mean((1, 3))
    assert abs(images.x_train[1] - large).max() <= 0.5001


def test_without_a_common_size_all_shrink_to_the_smallest_sides(hub):
    hub.splits = {
        "train": Split(FEATURES, rows([(16, 9), (8, 12)])),
        "test": Split(FEATURES, rows([(16, 12), (24, 24)])),
    }
    assert load("hub:owner/pets").x_train.shape == (2, 8, 9, 3)


def test_of_several_columns_those_called_image_and_label_are_taken(hub):
    features = {
        "thumbnail": ImageFeature(),
        "image": ImageFeature(),
        "coarse": ClassLabel(["animal"]),
        "label": ClassLabel(["cat", "dog"]),
    }
    items = [
        {"thumbnail": picture(2, 2), "image": picture(8, 8, seed=i), "coarse": 0, "label": i}
        for i in range(2)
    ]
    hub.splits = {name: Split(features, items) for name in ("train", "test")}
    images = load("hub:owner/pets")
    assert images.x_train.shape == (2, 8, 8, 3)
    assert images.classes == ("cat", "dog")


def test_the_missing_package_is_named_with_its_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert message() == 'hub:owner/pets: needs the package datasets; pip install "weightspace[hub]"'


@pytest.mark.parametrize("name", ["hub:", "hub:pets", "hub:a/b/c/d", "hub:../x y", "hub:a/b\n"])
def test_a_name_that_is_none_is_refused(name, hub):
    with pytest.raises(DataError) as caught:
        load(name)
    assert str(caught.value) == (
        f"{name!r}: is not a hub name; write hub:OWNER/NAME or hub:OWNER/NAME/CONFIG"
    )


def test_what_the_hub_says_is_passed_on_in_one_line(hub):
    hub.splits = RuntimeError("Dataset 'owner/pets'\n doesn't exist on the Hub")
    assert message() == (
        "hub:owner/pets: the hub did not deliver (Dataset 'owner/pets' doesn't exist on the Hub); "
        "check the name, the config and the network"
    )
    hub.splits = ConnectionError(111, "refused")
    assert message().startswith("hub:owner/pets: the hub did not deliver ([Errno 111] refused); ")


def split_of(items, features=FEATURES):
    part = Split(features, items)
    return {"train": part, "test": part}


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ({"train": Split(FEATURES, []), "extra": Split(FEATURES, [])},
         "has splits train, extra; an image set needs train, and test or validation"),
        (split_of([], {"text": Text(), "label": ClassLabel(["a"])}),
         "has 0 image and 1 class-label columns among text, label; it needs one of each, or "
         "columns called image and label"),
        (split_of([], {"a": ImageFeature(), "x": ClassLabel(["a"]), "y": ClassLabel(["b"])}),
         "has 1 image and 2 class-label columns among a, x, y; it needs one of each, or "
         "columns called image and label"),
        (split_of([]), "a split is empty; choose another set or config"),
        (split_of([{"id": "0", "picture": picture(4, 4), "kind": 0},
                   {"id": "1", "picture": picture(4, 4), "kind": -1}]),
         "row 1 has no label; this split cannot be used"),
        (split_of([{"id": "0", "picture": None, "kind": 1}]),
         "row 0 has no image; this split cannot be used"),
    ],
)  # fmt: skip
def test_a_hub_set_that_is_no_image_set_is_refused(splits, says, hub):
    hub.splits = splits
    assert message() == f"hub:owner/pets: {says}"
