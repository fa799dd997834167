"""Spaces and recipes: what is drawn, what is refused and in which words."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from weightspace.errors import UsageError
from weightspace.space import (
    PRESETS,
    Choice,
    Constant,
    Recipe,
    Space,
    Uniform,
    Unknown,
    load_space,
    preset,
)

TEMPLATE = """\
name: mine
description: For a test.
recipe:
  dataset: [mnist, cifar10]
  learning_rate: {low: 0.001, high: 0.01, scale: log}
  batch_size: 64
"""


def refusal(tmp_path: Path, text: str) -> str:
    """The message for a YAML file of this text, without its folder."""
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_space(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(f"{tmp_path}/")


# ---------------------------------------------------------------------------------- messages


def test_unknown_preset_lists_the_presets():
    with pytest.raises(UsageError) as caught:
        preset("nws-mian")
    assert str(caught.value) == (
        "nws-mian: no such space; presets are demo, nws-small, nws-fixed, nws-main, model-zoos, "
        "or give a .yaml file"
    )


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.yaml: no such file, nor a preset of that name"):
        preset(str(tmp_path / "gone.yaml"))


def test_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(UsageError, match="cannot be read as text"):
        load_space(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  batch_size: 64",
            "  batch_size: [64, 128",
            "mine.yaml:7: not YAML (expected ',' or ']', but got '<stream end>')",
        ),
        (
            "low: 0.001, high: 0.01",
            "low: 0.01, high: 0.001",
            "mine.yaml:5: learning_rate: low 0.01 is not below high 0.001; swap them",
        ),
        (
            "batch_size: 64",
            "batch_size: many",
            "mine.yaml:6: batch_size: 'many' is not a whole number from 2 to 65,536",
        ),
        (
            "{low: 0.001, high: 0.01, scale: log}",
            "1e-3",
            "mine.yaml:5: learning_rate: '1e-3' is not a positive number below 100 but text; "
            "write 0.001",
        ),
        (
            "low: 0.001",
            "low: 1e-3",
            "mine.yaml:5: learning_rate: low '1e-3' is not a number but text; write 0.001",
        ),
        (
            "scale: log",
            "scale: logarithmic",
            "mine.yaml:5: learning_rate: scale 'logarithmic' is neither linear nor log",
        ),
        (
            "low: 0.001",
            "low: 0",
            "mine.yaml:5: learning_rate: low 0 has no logarithm; raise it above 0",
        ),
        (
            "high: 0.01, ",
            "",
            "mine.yaml:5: learning_rate: a range has no 'high'; "
            "write {low: 0.001, high: 0.01, scale: log}",
        ),
        (
            "batch_size: 64",
            "batch_size: {low: 16, high: 64}",
            "mine.yaml:6: batch_size: takes a value or a list of values, not a range",
        ),
        (
            "[mnist, cifar10]",
            "[mnist]",
            "mine.yaml:4: dataset: ['mnist'] offers no choice; "
            "give at least two values, or the value itself without brackets",
        ),
        (
            "[mnist, cifar10]",
            "[mnist, mnist]",
            "mine.yaml:4: dataset: ['mnist', 'mnist'] holds a value twice; remove one",
        ),
        (
            "[mnist, cifar10]",
            "[mnist, [cifar10]]",
            "mine.yaml:4: dataset: a choice is between plain values, not a list",
        ),
        (
            "{low: 0.001, high: 0.01, scale: log}",
            "[1, 1.0]",
            "mine.yaml:5: learning_rate: [1, 1.0] holds a value twice; remove one",
        ),
        (
            "batch_size: 64",
            "batch_size:",
            "mine.yaml:6: batch_size: nothing is neither a value, a list of values nor a range",
        ),
        (
            "batch_size: 64",
            "depth_conv: 2",
            "mine.yaml:6: depth_conv: 2 layers cannot fill 3 blocks; "
            "lower blocks or raise depth_conv",
        ),
        (
            "  batch_size: 64",
            "  batch_size: 64\n  batch_size: 32",
            "mine.yaml:7: batch_size: is already given in line 6",
        ),
        ("name: mine", "nmae: mine", "mine.yaml:1: nmae: unknown; known are name, description, "
         "recipe"),
        ("name: mine", "name: 7", "mine.yaml:1: name: 7 is not text; put it in quotes"),
        (
            "name: mine",
            "name: !!python/object:os.system x",
            "mine.yaml:1: not YAML (could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object:os.system')",
        ),
    ],
)  # fmt: skip
def test_mistake_is_reported_with_file_line_and_key(tmp_path, old, new, message):
    assert TEMPLATE.count(old) == 1
    assert refusal(tmp_path, TEMPLATE.replace(old, new)) == message


def test_unknown_key_is_named_with_its_line(tmp_path):
    message = refusal(tmp_path, TEMPLATE + "  speed: 0.9\n")
    assert message.startswith("mine.yaml:7: speed: no such hyper-parameter; known are dataset,")


def test_the_nearest_key_is_named(tmp_path):
    message = refusal(tmp_path, TEMPLATE + "  warm_up: 3\n")
    assert message.startswith("mine.yaml:7: warm_up: no such hyper-parameter; known are dataset,")
    assert message.endswith("; did you mean warmup?")


def test_the_seed_is_not_a_hyper_parameter(tmp_path):
    message = refusal(tmp_path, TEMPLATE + "  seed: 3\n")
    assert message.startswith("mine.yaml:7: seed: no such hyper-parameter; known are dataset,")
    assert not message.endswith("seed")


def test_a_space_needs_a_data_set(tmp_path):
    text = TEMPLATE.replace("  dataset: [mnist, cifar10]\n", "")
    assert refusal(tmp_path, text) == (
        "mine.yaml:3: dataset: a space needs one; name an image set or a list of them"
    )


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    assert refusal(tmp_path, text) == (
        "mine.yaml:1: a space is a mapping with the key 'recipe'; see https://weightspace.github.io/weightspace/spaces/"
    )


def test_recipe_that_is_no_mapping(tmp_path):
    assert refusal(tmp_path, "name: a\nrecipe: [1, 2]\n") == (
        "mine.yaml:2: recipe: a space needs this mapping; see https://weightspace.github.io/weightspace/spaces/"
    )


@pytest.mark.parametrize(
    "text",
    [
        "recipe: &a\n  dataset: *a\n",  # an alias to itself
        "[" * 5000,  # nested beyond any use
        "name: a\x00b\n",  # a control character
        "name: 2020-13-45\n",  # a date that is none
    ],
)
def test_hostile_yaml_ends_in_one_line(tmp_path, text):
    assert refusal(tmp_path, text)


def test_aliases_that_would_expand_without_end(tmp_path):
    levels = [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]" for i in range(1, 12)]
    text = "\n".join(["x0: &x0 [a]", *levels, "recipe: {dataset: *x11}"])
    message = refusal(tmp_path, text)
    assert len(message) < 200


def test_text_that_is_not_utf8(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(UsageError, match="cannot be read as text"):
        load_space(path)


def test_smallest_input_under_the_most_blocks_is_refused():
    with pytest.raises(UsageError, match="input_size: 8 pixels vanish under 4 poolings"):
        Space(
            "s",
            {
                "dataset": Constant("mnist"),
                "input_size": Choice((8, 32)),
                "blocks": Choice((2, 4)),
                "depth_conv": Constant(6),
            },
        )


def test_recipe_names_the_unknown_key():
    with pytest.raises(UsageError, match=r"^widht: no such hyper-parameter; known are dataset, se"):
        Recipe.from_dict({"dataset": "mnist", "widht": 3})


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_recipe_from_what_is_no_recipe(text):
    with pytest.raises(UsageError, match=r"^recipe: "):
        Recipe.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", float("nan")),
        ("learning_rate", True),
        ("batch_size", 64.0),
        ("augmentation", 1),
        ("dropout", 1.0),
        ("optimizer", ""),
        ("filter_size", 4),
        ("seed", -1),
    ],
)
def test_recipe_refuses_values_out_of_their_rule(field, value):
    with pytest.raises(UsageError) as caught:
        Recipe.from_dict({"dataset": "mnist", field: value})
    assert str(caught.value).startswith(f"{field}: {value!r} is not ")


def test_draws_need_a_positive_number_and_seed():
    space = preset("demo")
    with pytest.raises(UsageError, match="nets: 0 is not a positive number of nets"):
        space.draw(0)
    with pytest.raises(UsageError, match="seed: -1 is negative"):
        space.draw(2, seed=-1)


def test_with_constants_names_the_key():
    with pytest.raises(UsageError, match=r"^batch_size: \[64\] offers no choice"):
        preset("demo").with_constants(batch_size=[64])


# -------------------------------------------------------------------------------- round trips

WORD = st.text("abcdefghij_-", min_size=1, max_size=8)
FRACTION = st.floats(0, 0.99)
FIELD_VALUES: dict[str, st.SearchStrategy] = {
    "dataset": WORD,
    "learning_rate": st.floats(1e-9, 99),
    "batch_size": st.integers(2, 4096),
    "augmentation": st.booleans(),
    "optimizer": WORD,
    "activation": WORD,
    "initialization": WORD,
    "filter_size": st.sampled_from([1, 3, 5, 7]),
    "depth_conv": st.integers(6, 64),
    "depth_fc": st.integers(0, 5),
    "width_conv": st.integers(1, 64),
    "width_fc": st.integers(2, 512),
    "blocks": st.integers(1, 2),
    "batch_norm": st.booleans(),
    "dropout": FRACTION,
    "weight_decay": FRACTION,
    "label_smoothing": FRACTION,
    "input_size": st.integers(8, 64),
    "channels": st.sampled_from([1, 3]),
    "outputs": st.integers(2, 100),
    "epochs": st.integers(1, 100),
    "train_images": st.integers(0, 10_000),
}
FLOATS = ("learning_rate", "dropout", "weight_decay", "label_smoothing")

recipes = st.fixed_dictionaries(
    {"dataset": WORD, "seed": st.integers(0, 2**63 - 1)},
    optional={k: v for k, v in FIELD_VALUES.items() if k != "dataset"},
).map(Recipe.from_dict)


@st.composite
def distributions(draw, field):
    kinds = ["constant", "choice"] + ["uniform"] * (field in FLOATS)
    values = FIELD_VALUES[field]
    match draw(st.sampled_from(kinds)):
        case "constant":
            return Constant(draw(values))
        case "choice":
            return Choice(tuple(draw(st.lists(values, min_size=2, max_size=4, unique=True))))
        case _:
            low, high = sorted(draw(st.lists(values, min_size=2, max_size=2, unique=True)))
            scale = draw(st.sampled_from(["linear", "log"] if low > 0 else ["linear"]))
            return Uniform(low, high, scale)


@st.composite
def spaces(draw):
    names = draw(st.sets(st.sampled_from(sorted(FIELD_VALUES)))) | {"dataset"}
    name = draw(st.text(max_size=10))
    return Space(name, {n: draw(distributions(n)) for n in sorted(names)}, draw(WORD))


@given(recipes)
def test_recipe_round_trip(recipe):
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert again.net == recipe.net
    assert len(recipe.net) == 16
    assert int(recipe.net, 16) >= 0


@given(recipes, st.integers(0, 2**62))
def test_another_seed_is_another_net(recipe, seed):
    other = Recipe.from_dict(recipe.to_dict() | {"seed": seed})
    assert (other.net == recipe.net) == (seed == recipe.seed)


def test_equal_recipes_are_the_same_net():
    whole = Recipe(dataset="mnist", learning_rate=1, weight_decay=0, dropout=-0.0)
    assert whole == Recipe(dataset="mnist", learning_rate=1.0, weight_decay=0.0, dropout=0)
    assert whole.net == Recipe(dataset="mnist", learning_rate=1.0, dropout=0.0).net


@settings(max_examples=50, deadline=None)
@given(space=spaces())
def test_space_round_trip_through_json_and_yaml(tmp_path_factory, space):
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    path.write_text(yaml.safe_dump(space.to_dict(), allow_unicode=True), encoding="utf-8")
    again = load_space(path)
    assert again == space
    assert again.draw(5, seed=3) == space.draw(5, seed=3)


@settings(max_examples=50, deadline=None)
@given(spaces(), st.integers(1, 30), st.integers(0, 30), st.integers(0, 2**40))
def test_more_nets_can_be_drawn_later(space, n, more, seed):
    assert space.draw(n + more, seed)[:n] == space.draw(n, seed)


@settings(max_examples=50, deadline=None)
@given(spaces(), st.integers(1, 40))
def test_drawn_recipes_lie_in_their_space(space, n):
    drawn = space.draw(n, seed=1)
    assert len({recipe.seed for recipe in drawn}) == n
    for name, distribution in space.distributions.items():
        values = [getattr(recipe, name) for recipe in drawn]
        match distribution:
            case Uniform(low, high):
                assert all(low <= v <= high for v in values)
            case Choice(levels):
                counts = Counter(values)
                assert set(counts) <= set(levels)
                # every block of as many nets as levels holds each level once
                assert (
                    max(counts.values())
                    - (min(counts.values()) if len(counts) == len(levels) else 0)
                    <= 1
                )
            case Constant(value):
                assert set(values) == {value}
    for name in space.properties:
        assert not isinstance(space.distributions[name], Constant)


# ------------------------------------------------------------------------------------ drawing


def test_other_seeds_draw_other_recipes():
    space = preset("demo")
    assert space.draw(8, seed=0) == space.draw(8, seed=0)
    assert space.draw(8, seed=0) != space.draw(8, seed=1)


def test_properties_are_drawn_independently():
    drawn = preset("nws-main").draw(1440, seed=0)
    pairs = Counter((r.optimizer, r.activation) for r in drawn)
    assert len(pairs) == 12
    # 120 expected per pair; blocks of 3 against blocks of 4 make the spread less than binomial
    assert all(80 <= count <= 160 for count in pairs.values())


def test_a_logarithmic_range_is_even_in_the_logarithm():
    uniform = Uniform(0.0001, 0.01, "log")
    assert uniform.draw(0.5) == pytest.approx(0.001)
    assert uniform.edges(2) == (pytest.approx(0.001),)
    assert Uniform(0.0, 3.0).edges(3) == (pytest.approx(1.0), pytest.approx(2.0))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_load_and_draw(name):
    space = preset(name)
    assert space.name == name
    assert space.description
    assert {"dataset", "optimizer", "activation", "initialization"} <= set(space.properties)
    assert Space.from_dict(space.to_dict()) == space
    assert len(space.draw(60)) == 60


def test_nws_main_is_the_published_grid():
    d = preset("nws-main").distributions
    assert d["learning_rate"] == Uniform(0.0002, 0.005, "linear")
    levels = {k: len(v.values) for k, v in d.items() if isinstance(v, Choice)}
    assert levels == {
        "dataset": 5, "batch_size": 4, "augmentation": 2, "optimizer": 3, "activation": 4,
        "initialization": 4, "filter_size": 3, "depth_conv": 3, "depth_fc": 3, "width_conv": 3,
        "width_fc": 3,
    }  # fmt: skip


def test_with_constants_fixes_and_frees():
    space = preset("demo").with_constants(optimizer="adam", epochs=[1, 2], batch_size=None)
    assert space.distributions["optimizer"] == Constant("adam")
    assert "epochs" in space.properties
    assert "optimizer" not in space.properties
    assert space.distributions["batch_size"] == Choice((16, 64))


def test_fields_at_their_default_are_no_part_of_a_nets_identity() -> None:
    """So that a hyper-parameter added later changes no net of an older zoo."""
    plain = Recipe(dataset="digits", seed=3)
    assert replace(plain, label_noise=0.0).net == plain.net
    assert replace(plain, label_noise=0.1).net != plain.net
    assert plain.net == "5c3a8e44dc196b10"


def test_whoever_cannot_use_a_hyper_parameter_can_say_where_it_stands(tmp_path):
    """A space knows no names of optimizers; who does finds file and line."""
    path = tmp_path / "mine.yaml"
    path.write_text(TEMPLATE + "  optimizer: [adam, adamant]\n", encoding="utf-8")
    space = load_space(path)
    unknown = UsageError("optimizer", "'adamant' is unknown")
    assert str(space.placed(unknown)) == f"{path}:7: optimizer: 'adamant' is unknown"
    # A hyper-parameter that the file leaves out belongs under `recipe`.
    assert str(space.placed(UsageError("outputs", "too few"))) == f"{path}:3: outputs: too few"
    assert str(space.placed(UsageError("nets", "too few"))) == "nets: too few"
    replaced = space.with_constants(optimizer="adamant", epochs=None)
    assert replaced.placed(unknown) is unknown
    assert str(replaced.placed(UsageError("epochs", "x"))) == f"{path}:3: epochs: x"
    assert Space.from_dict(space.to_dict()) == space
    assert preset("demo").placed(unknown) is unknown


def test_what_is_unknown_is_no_property_and_cannot_be_drawn():
    plain = {"dataset": {"unknown": True}, "blocks": {"unknown": True}, "depth_conv": [1, 2]}
    space = Space.from_dict({"name": "others", "recipe": plain})
    assert space.distributions["dataset"] == Unknown()
    assert space.properties == ("depth_conv",)
    assert space.values("dataset") == ()
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    with pytest.raises(UsageError, match="dataset: is unknown for these nets; give"):
        space.draw(1)
    assert space.with_constants(dataset="digits", blocks=1).draw(2)
    with pytest.raises(UsageError, match="depth_conv: 1 layers cannot fill 3 blocks"):
        space.with_constants(dataset="digits", blocks=3)


TIMES = {"optimizer": {"adam": 0.1, "rmsprop": 0.05}}


def test_a_range_may_depend_on_another_hyper_parameter(tmp_path):
    rates = {"low": 0.01, "high": 0.1, "scale": "log"}
    plain = {"dataset": "mnist", "optimizer": ["sgd", "adam", "rmsprop"]}
    space = Space.from_dict({"recipe": plain | {"learning_rate": rates | {"times": TIMES}}})
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(space.to_dict()))
    assert load_space(path) == space
    without = Space.from_dict({"recipe": plain | {"learning_rate": rates}})
    factors = {"sgd": 1.0} | TIMES["optimizer"]
    for one, other in zip(space.draw(60, seed=3), without.draw(60, seed=3), strict=True):
        assert one.optimizer == other.optimizer
        assert one.learning_rate == other.learning_rate * factors[one.optimizer]
    assert space.values("learning_rate") == (0.01 * 0.05, 0.1)
    assert set(space.levels(space.draw(60, seed=3))[:, 0]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ({"optimiser": {"adam": 0.1}}, "no such hyper-parameter"),
        ({"learning_rate": {"adam": 0.1}}, "no such hyper-parameter"),
        ({"optimizer": {"adam": 0}}, "not above 0"),
        ({"optimizer": {"adam": "small"}}, "not above 0"),
        ({"optimizer": 0.1}, "times is not possible"),
        ({"optimizer": {"adam": 1e9}}, "learning_rate"),
        ([1], "times is not possible"),
    ],
)
def test_factors_of_a_range_are_checked(times, told):
    rates = {"low": 0.01, "high": 0.1, "times": times}
    with pytest.raises(UsageError, match=told):
        Space.from_dict({"recipe": {"dataset": "mnist", "learning_rate": rates}})
