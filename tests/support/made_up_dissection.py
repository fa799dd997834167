"""Dissections with made-up numbers in the schemas of docs/architecture.md."""

from __future__ import annotations

import numpy as np
import polars as pl

from weightspace.dissection import Dissection, Training, When, Where
from weightspace.dissection.map import MAP_COLUMNS, Map
from weightspace.dissection.slices import SLICES_COLUMNS, Slices
from weightspace.dissection.training import TRAINING_COLUMNS
from weightspace.dissection.transfer import TRANSFER_COLUMNS, Transfer
from weightspace.dissection.unseen import UNSEEN_COLUMNS, Unseen
from weightspace.dissection.what import WHAT_COLUMNS, What
from weightspace.dissection.when import WHEN_COLUMNS
from weightspace.dissection.where import WHERE_COLUMNS
from weightspace.meta import Evaluation, Regression
from weightspace.meta.evaluation.regression import COLUMNS as NUMBER_COLUMNS
from weightspace.meta.evaluation.regression import GUESS_COLUMNS
from weightspace.meta.evaluation.result import HIT_COLUMNS
from weightspace.meta.statistics.calibration import CALIBRATION_COLUMNS, RELIABILITY_COLUMNS

# property: levels, accuracy at the end, accuracy at the first snapshot, best place (0..1)
PROPERTIES = {
    "filter_size": (3, 0.91, 0.90, 0.1),
    "optimizer": (3, 0.80, 0.33, 0.95),
    "initialization": (4, 0.77, 0.99, 0.6),
    "activation": (4, 0.65, 0.26, 0.5),
    "augmentation": (2, 0.79, 0.50, 0.3),
    "width_conv": (3, 0.69, 0.66, 0.2),
    "dataset": (5, 0.58, 0.2, 0.05),
    "depth_conv": (3, 0.50, 0.47, 0.5),
    "learning_rate": (3, 0.46, 0.32, 0.9),
    "batch_size": (4, 0.26, 0.24, 0.5),
}
DATASETS = {"mnist": 0.97, "fashion_mnist": 0.86, "svhn": 0.78, "stl10": 0.47, "cifar10": 0.55}
NETS = 300


def spread(accuracy: float, n: int = NETS) -> dict[str, float]:
    error = 1.96 * (accuracy * (1 - accuracy) / n) ** 0.5
    return {"accuracy": accuracy, "low": max(0, accuracy - error), "high": min(1, accuracy + error)}


def much_frame(properties=PROPERTIES, n: int = NETS) -> pl.DataFrame:
    rows = []
    for name, (levels, end, *_) in properties.items():
        chance = 1 / levels
        scores = {
            ("shallow", "slice"): chance + 0.7 * (end - chance),
            ("boosted", "slice"): end,
            ("shallow", "net"): chance + 0.8 * (end - chance),
            ("boosted", "net"): min(1, end + 0.03),
        }
        for (classifier, unit), accuracy in scores.items():
            rows.append(
                {"property": name, "classifier": classifier, "unit": unit, "levels": levels}
                | {"chance": chance}
                | spread(accuracy, n)
                | {"control": chance, "control_low": chance - 0.05, "control_high": chance + 0.05}
                | {"n_nets": n, "n_slices": 8 * n, "slice_length": 5000, "part": "all"}
                | {"running_stats": True, "snapshots": "-1", "folds": 5, "seeds": "0, 1, 2"}
            )
    return pl.DataFrame(rows)


def where_frame(properties=PROPERTIES) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    rows = []

    def add(name, axis, place, start, stop, accuracy, running_stats=True, length=5000):
        rows.append(
            {"property": name, "axis": axis, "place": place, "start": start, "stop": stop}
            | spread(float(np.clip(accuracy + rng.normal(0, 0.02), 0, 1)))
            | {"chance": (c := 1 / properties[name][0]), "n_nets": NETS}
            | {"control_low": c - 0.06, "control_high": c + 0.06}
            | {"running_stats": running_stats, "slice_length": length}
        )

    for name, (levels, end, _, best) in properties.items():
        gain = end - 1 / levels
        for i in range(20):
            reach = 0.4 + 0.6 * np.exp(-(((i + 0.5) / 20 - best) ** 2) / 0.03)
            add(name, "position", str(i + 1), i / 20, (i + 1) / 20, 1 / levels + gain * reach)
        for part, start, stop, share in (("conv", 0.0, 0.18, 0.9), ("fc", 0.18, 1.0, 0.7)):
            for running in (True, False):
                accuracy = 1 / levels + gain * share * (1 if running else 0.8)
                add(name, "part", part, start, stop, accuracy, running)
        for k, place in enumerate(
            ("first conv", "middle conv", "last conv", "first fc", "last fc")
        ):
            add(name, "depth", place, k / 5, (k + 1) / 5, 1 / levels + gain * 0.6, length=400)
    return pl.DataFrame(rows, schema=WHERE_COLUMNS)


def when_frame(properties=PROPERTIES, snapshots: int = 20) -> pl.DataFrame:
    rng = np.random.default_rng(2)
    rows = []
    for name, (levels, end, start, _) in properties.items():
        for k in range(snapshots):
            fraction = k / (snapshots - 1)
            accuracy = end + (start - end) * np.exp(-fraction / 0.15) + rng.normal(0, 0.01)
            rows.append(
                {"property": name, "snapshot": k + 1, "fraction": fraction}
                | spread(float(np.clip(accuracy, 0, 1)))
                | {"chance": (c := 1 / levels), "n_nets": NETS}
                | {"control_low": c - 0.06, "control_high": c + 0.06}
                | {"running_stats": True, "slice_length": 5000}
            )
    return pl.DataFrame(rows, schema=WHEN_COLUMNS)


def training_frame(datasets=DATASETS, snapshots: int = 20) -> pl.DataFrame:
    rows = [
        {"dataset": name, "snapshot": k + 1, "fraction": k / (snapshots - 1)}
        | {"accuracy": (a := end + (0.1 - end) * float(np.exp(-5 * k / (snapshots - 1))))}
        | {"low": 0.8 * a, "high": min(1, 1.08 * a), "n_nets": NETS // len(datasets)}
        for name, end in datasets.items()
        for k in range(snapshots)
    ]
    return pl.DataFrame(rows, schema=TRAINING_COLUMNS)


def facts(datasets=DATASETS) -> dict:
    return {
        "space": "nws-fixed",
        "nets": NETS,
        "dead": 7,
        "diverged": 3,
        "left_out": 3,
        "layouts": 1,
        "snapshots": 20,
        "vectors": 6000,
        "values": 557_208_000,
        "datasets": list(datasets),
        "properties": list(PROPERTIES),
        "boundaries": [
            {"name": "conv1", "part": "conv", "start": 0.0, "stop": 0.02},
            {"name": "conv2", "part": "conv", "start": 0.02, "stop": 0.07},
            {"name": "conv3", "part": "conv", "start": 0.07, "stop": 0.18},
            {"name": "fc1", "part": "fc", "start": 0.18, "stop": 0.9},
            {"name": "fc2", "part": "fc", "start": 0.9, "stop": 0.98},
            {"name": "output", "part": "fc", "start": 0.98, "stop": 1.0},
        ],
        "seeds": [0, 1, 2],
        "versions": {"weightspace": "0.1.0", "numpy": "2.3.0", "scikit-learn": "1.7.0"},
        "seconds": 28.4,
        "command": "weightspace dissect my-zoo",
    }


def made_up(much=None, where=None, when=None, training=None, **extra) -> Dissection:
    parts = {
        "much": Evaluation(much_frame() if much is None else much),
        "where": Where(where_frame() if where is None else where),
        "when": When(when_frame() if when is None else when),
        "training": Training(training_frame() if training is None else training),
    }
    return Dissection(facts() | extra, parts)


def slices_frame(properties=PROPERTIES, lengths=(50, 500, 5000, 50_000)) -> pl.DataFrame:
    rows = []
    for name, (levels, end, *_) in properties.items():
        chance = 1 / levels
        for i, length in enumerate(lengths):
            nets = NETS if length <= 5000 else NETS // 3
            for count in (1, 2, 4, 8, 16):
                share = min(1, (0.25 + 0.25 * i) * (1 + 0.1 * np.log2(count)))
                rows.append(
                    {"property": name, "slice_length": length, "slices": count}
                    | spread(chance + share * (end - chance), nets)
                    | {"chance": chance, "n_nets": nets}
                    | {"control_low": chance - 0.06, "control_high": chance + 0.06}
                )
    return pl.DataFrame(rows, schema=SLICES_COLUMNS)


def transfer_frame(properties=PROPERTIES, snapshots: int = 20) -> pl.DataFrame:
    """What the diagonal has is what `when_frame` says; it fades with the distance in training."""
    rows = []
    for name, (levels, end, start, _) in properties.items():
        chance = 1 / levels
        for s in range(snapshots):
            for t in range(snapshots):
                own = [end + (start - end) * np.exp(-m / 19 / 0.15) for m in (s, t)]
                gap = abs(s - t) / 19
                accuracy = chance + (min(own) - chance) * np.exp(
                    -3 * gap * (name == "initialization")
                )
                rows.append(
                    {"property": name, "learned": s + 1, "tested": t + 1}
                    | {"learned_fraction": s / 19, "tested_fraction": t / 19}
                    | spread(float(accuracy))
                    | {"chance": chance, "control_low": chance - 0.06}
                    | {"control_high": chance + 0.06, "n_nets": NETS, "slice_length": 5000}
                )
    return pl.DataFrame(rows, schema=TRANSFER_COLUMNS)


# target: scale, range of the truth, R2
TARGETS = {
    "learning_rate": ("log10", (-4.0, -2.0), 0.6),
    "test_accuracy": ("linear", (0.1, 0.98), 0.95),
    "progress": ("linear", (0.0, 1.0), 0.02),
}


def regression(targets=TARGETS) -> Regression:
    rng = np.random.default_rng(3)
    rows, guesses = [], []
    for name, (scale, ends, r2) in targets.items():
        truth = rng.uniform(*ends, NETS)
        for classifier, share in (("kernel", 0.8), ("layers", 1.0)):
            own = r2 * share
            guess = truth.mean() + own * (truth - truth.mean())
            guess += rng.normal(0, (own * (1 - own)) ** 0.5 * truth.std(), NETS)
            for unit in ("slice", "net") if classifier == "kernel" else ("net",):
                rows.append(
                    {"target": name, "scale": scale, "classifier": classifier, "unit": unit}
                    | {"r2": own, "r2_low": own - 0.08, "r2_high": min(1, own + 0.08)}
                    | {"r2_control_low": -0.1, "r2_control_high": 0.03}
                    | {
                        "tau": own**0.5,
                        "tau_low": own**0.5 - 0.05,
                        "tau_high": min(1, own**0.5 + 0.05),
                    }
                    | {"tau_control_low": -0.09, "tau_control_high": 0.1}
                    | {"n_nets": NETS, "n_rows": NETS, "slice_length": 5000, "running_stats": True}
                    | {"part": "all", "snapshots": "-1"}
                    | {"folds": 5, "seeds": "0, 1, 2", "permutations": 10, "versions": ""}
                )
            guesses += [
                {"target": name, "classifier": classifier, "net": f"{i:016x}", "snapshot": 20}
                | {"truth": float(truth[i]), "guess": float(guess[i])}
                for i in range(NETS)
            ]
    return Regression(
        pl.DataFrame(rows, schema=NUMBER_COLUMNS), pl.DataFrame(guesses, schema=GUESS_COLUMNS)
    )


def hits_frame(table: pl.DataFrame, seed: int = 4) -> pl.DataFrame:
    """Right answers at the rates of a table; the first nets are dead, and never read rightly."""
    parts = []
    for row in table.to_dicts():
        level = np.arange(NETS) % row["levels"]
        rng = np.random.default_rng(seed)
        hit = (rng.random(NETS) < row["accuracy"]).astype(float)
        dead = np.arange(NETS) < 7
        hit[dead] = 0
        about = {name: row[name] for name in ("property", "classifier", "unit")}
        nets = [f"{i:016x}" for i in range(NETS)]
        own = {"net": nets, "level": level, "group": np.arange(NETS), "dead": dead, "hit": hit}
        parts.append(pl.DataFrame(about | own))
    return pl.concat(parts).cast(HIT_COLUMNS)


def calibration_frames(properties=PROPERTIES) -> tuple[pl.DataFrame, pl.DataFrame]:
    about, bins = [], []
    for place, (name, (levels, end, *_)) in enumerate(properties.items()):
        chance = 1 / levels
        figures = {"temperature": 2.0, "ece_raw": 0.1 + 0.005 * place, "ece": 0.01 + 0.004 * place}
        for score, least in (("brier", 1 - chance), ("log_loss", float(np.log(levels)))):
            figures |= {f"{score}_raw": 0.8 * least, score: 0.7 * least, f"{score}_chance": least}
        about.append({"property": name, "classifier": "boosted"} | figures | {"n_nets": NETS})
        for low in np.arange(int(10 * chance), 10) / 10:
            claimed = low + 0.05
            bins.append(
                {"property": name, "classifier": "boosted", "low": low, "high": low + 0.1}
                | {
                    "confidence": claimed,
                    "accuracy": min(1, claimed + 0.04 * np.sin(9 * low + place)),
                }
                | {"share": 0.4 if low == int(10 * end) / 10 else 0.06, "count": 90}
            )
    return (
        pl.DataFrame(about, schema=CALIBRATION_COLUMNS),
        pl.DataFrame(bins, schema=RELIABILITY_COLUMNS),
    )


def what_frame(properties=PROPERTIES) -> pl.DataFrame:
    """Quantiles carry all; what is taken from slices costs filter size its order alone."""
    rows = []
    for name, (levels, end, *_) in properties.items():
        chance = 1 / levels
        groups = {
            ("slice", "quantiles"): (0.9, 0.6),
            ("slice", "spectrum"): (0.5, 0.0),
            ("net", "first conv, weights"): (0.9, 0.2),
            ("net", "last fc, running statistics"): (0.1, 0.0),
            ("tampering", "as it is"): (1.0, 0.0),
            ("tampering", "shuffled"): (0.2, 0.8) if name == "filter_size" else (1.0, 0.0),
            ("tampering", "ranks only"): (0.9, 0.1),
        }
        for (kind, group), (share, loss) in groups.items():
            drop = loss * (end - chance)
            rows.append(
                {"property": name, "kind": kind, "name": group, "features": 9}
                | spread(chance + share * (end - chance))
                | {"drop": drop, "drop_low": drop - 0.03, "drop_high": drop + 0.03}
                | {"chance": chance, "n_nets": NETS}
                | {"control_low": chance - 0.04, "control_high": chance + 0.04}
            )
    return pl.DataFrame(rows, schema=WHAT_COLUMNS)


def unseen_frame(properties=PROPERTIES) -> pl.DataFrame:
    """Any new kind costs little, but a new data set costs activation half of what is known.

    On nets of the first data set nothing is left of it.
    """
    rows = []
    for name, (levels, end, *_) in properties.items():
        chance = 1 / levels
        for without, (count, *_) in properties.items():
            for unit, level in ((u, i) for u in ("slice", "net") for i in (None, *range(count))):
                lost = 0.05
                if (name, without) == ("activation", "dataset"):
                    lost = {None: 0.5, 0: 1.0}.get(level, 0.375)
                drop = lost * (end - chance)
                if without != name:
                    rows.append(
                        {"property": name, "without": without, "unit": unit}
                        | {"level": None if level is None else f"level {level}"}
                        | spread(end - drop)
                        | {"known": end, "drop": drop, "drop_low": drop - 0.06}
                        | {"drop_high": drop + 0.06, "chance": chance}
                        | {"control_low": chance - 0.05, "control_high": chance + 0.05}
                        | {"n_nets": NETS if level is None else NETS // count}
                    )
    return pl.DataFrame(rows, schema=UNSEEN_COLUMNS)


def map_frame(nets: int = 120, moments: int = 4) -> pl.DataFrame:
    """Nets in heaps by initialization, which training moves to the right."""
    rng = np.random.default_rng(7)
    names = ("constant", "normal", "glorot", "he")
    level = np.arange(nets) % len(names)
    heaps = 20 * np.array([(0, 0), (0, 1), (1, 0), (1, 1)])[level] + rng.normal(0, 1, (nets, 2))
    sizes = rng.choice(["32", "64", "128"], nets)
    return pl.DataFrame(
        [
            {"net": f"{i:016x}", "snapshot": k + 1, "fraction": k / (moments - 1), "method": method}
            | {"x": float(heaps[i, 0] + 3 * k), "y": float(heaps[i, 1])}
            | {"initialization": names[level[i]], "batch_size": str(sizes[i])}
            for method in ("pca", "tsne")
            for i in range(nets)
            for k in range(moments)
        ],
        schema=MAP_COLUMNS | {"initialization": pl.String, "batch_size": pl.String},
    )


def full_evaluation(table: pl.DataFrame | None = None, seed: int = 4) -> Evaluation:
    """An evaluation of which all was kept."""
    table = much_frame() if table is None else table
    return Evaluation(table, None, hits_frame(table, seed), *calibration_frames())


def whole(**parts) -> Dissection:
    """A dissection that holds all there is."""
    less = {k: (n, a - 0.2 * (a - 1 / n), *r) for k, (n, a, *r) in PROPERTIES.items()}
    less["batch_size"] = PROPERTIES["batch_size"]
    given = {
        "bare": full_evaluation(much_frame(less)),
        "numbers": regression(),
        "slices": Slices(slices_frame()),
        "transfer": Transfer(transfer_frame()),
        "what": What(what_frame()),
        "map": Map(map_frame()),
        "unseen": Unseen(unseen_frame()),
    } | parts
    return made_up().but(much=full_evaluation(), **given)
