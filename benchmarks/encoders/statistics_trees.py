"""`StatisticsTrees`: gradient-boosted trees on statistics of every tensor."""

from __future__ import annotations

import time

import numpy as np
from probabilities import answers
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

_QUANTILES = (0, 0.25, 0.5, 0.75, 1)
_TREES, _STEP = 100, 10
_BINS = 64


class StatisticsTrees:
    """Boosted trees on mean, variance and five quantiles of each tensor, one model a target.

    A column belongs to a layer, counted from the input, and a role, such as bias. What a net does
    not have is missing; trees can tell. Values are put into bins of equal counts beforehand,
    because scikit-learn does so slowly where classes have weights. All models grow by a few trees
    in turn, until they have all or the time is over.
    """

    name = "statistics-trees"
    about = (
        "boosted trees on statistics of each tensor (after Unterthiner et al., arXiv 2002.11448)"
    )

    def fit(self, rows, targets, *, seed, seconds):
        """Learn targets; see `weightspace.bench.Encoder`."""
        stop = time.process_time() + seconds
        found = [_statistics(rows, i) for i in range(len(rows))]
        columns = sorted(set().union(*found))
        raw = _table(found, columns)
        edges = np.nanquantile(raw, np.linspace(0, 1, _BINS + 1)[1:-1], axis=0)
        table = _binned(raw, edges)
        models = [_model(one, seed) for one in targets]
        longest = 0.0
        for count in range(_STEP, _TREES + 1, _STEP):
            start = time.process_time()
            if count > _STEP and start + longest > stop:
                break
            for model, target in zip(models, targets, strict=True):
                model.set_params(max_iter=count).fit(table, target.values)
            longest = max(longest, time.process_time() - start)

        def read(others):
            found = [_statistics(others, i) for i in range(len(others))]
            seen = _binned(_table(found, columns), edges)
            return answers(models, targets, seen)

        return read


def _model(target, seed):
    options = {"warm_start": True, "early_stopping": False, "random_state": seed}
    if target.levels:
        return HistGradientBoostingClassifier(class_weight="balanced", **options)
    return HistGradientBoostingRegressor(**options)


def _statistics(rows, i):
    """Seven statistics of each tensor of a row, by layer and role."""
    found = {}
    for spec, values in rows.tensors(i):
        seven = (values.mean(), values.var(), *np.quantile(values, _QUANTILES))
        found |= {(spec.layer, spec.role, k): one for k, one in enumerate(seven)}
    return found


def _table(found, columns):
    rows = [[one.get(column, np.nan) for column in columns] for one in found]
    return np.array(rows, dtype=np.float32)


def _binned(table, edges):
    """For each value the number of edges of its column that it exceeds; NaN stays."""
    found = [np.searchsorted(edges[:, k], table[:, k]) for k in range(table.shape[1])]
    return np.where(np.isnan(table), np.nan, np.stack(found, axis=1)).astype(np.float32)
