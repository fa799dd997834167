"""Features equal slow, obvious versions, and are finite whatever the weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import signal, stats

from weightspace.errors import UsageError
from weightspace.features import LOCAL_NAMES, STATISTICS_NAMES, local, statistics
from weightspace.features.statistics import QUANTILES

RNG = np.random.default_rng(0)
SETS = ((statistics, STATISTICS_NAMES), (local, LOCAL_NAMES))


def slices(n: int = 7, length: int = 700) -> np.ndarray:
    """Slices of different shapes: normal, heavy-tailed, skewed, smooth, with zeros."""
    x = RNG.normal(size=(n, length))
    x[1] = RNG.standard_t(2.5, size=length)
    x[2] = RNG.exponential(size=length)
    x[3] = np.convolve(x[3], np.ones(5), "same")
    x[4, ::3] = 0
    return (x * np.geomspace(1e-3, 10, n)[:, None]).astype(np.float32)


def column(rows: np.ndarray, names: tuple[str, ...], name: str) -> np.ndarray:
    return rows[:, names.index(name)]


def test_statistics_are_those_of_scipy():
    x = slices()
    rows = statistics(x)
    for i, own in enumerate(x.astype(np.float64)):
        slow = []
        for part in (own, np.diff(x[i]).astype(np.float64)):
            slow += [part.mean(), part.var(), stats.skew(part), stats.kurtosis(part)]
            slow += [np.quantile(part, q) for q in QUANTILES]
        np.testing.assert_allclose(rows[i], slow, rtol=2e-5, atol=1e-9)


def levelled(own: np.ndarray) -> np.ndarray:
    """The signed logarithm of a slice, less the mean and over the spread around each value."""
    tamed = np.arcsinh(own / np.sort(np.abs(own))[len(own) // 2])

    def around(values):
        return np.convolve(np.pad(values, 64, "symmetric"), np.ones(129) / 129, "valid")

    out = tamed - around(tamed)
    return np.clip(out / (np.sqrt(around(out**2)) + 1e-6), -4, 4)


def test_correlations_are_those_of_a_slow_sum():
    x = slices()
    rows = local(x)
    for i, own in enumerate(x.astype(np.float64)):
        centred = levelled(own) - levelled(own).mean()
        for lag in (1, 5, 49, 64, 147):
            slow = sum(a * b for a, b in zip(centred[:-lag], centred[lag:], strict=True))
            found = column(rows, LOCAL_NAMES, f"correlation_{lag}")[i]
            assert found == pytest.approx(slow / (centred**2).sum(), abs=1e-4)


def test_flatness_is_that_of_a_periodogram():
    x = slices()
    rows = local(x)
    for i, own in enumerate(x.astype(np.float64)):
        _, power = signal.periodogram(levelled(own), nfft=len(own) + len(own) // 4, window="boxcar")
        slow = np.log(power[1:]).mean() - np.log(power[1:].mean())
        assert column(rows, LOCAL_NAMES, "power_flatness")[i] == pytest.approx(slow, abs=0.1)


def test_quantiles_and_fractions_are_what_they_say():
    x = slices()
    rows = local(x)
    wide = x.astype(np.float64)
    slow = np.log10(np.quantile(np.abs(wide), 0.3, axis=1) + 1e-8)
    np.testing.assert_allclose(column(rows, LOCAL_NAMES, "size_q0.3"), slow, rtol=1e-4)
    slow = np.arcsinh(np.quantile(wide, 0.05, axis=1) / 1e-3)
    np.testing.assert_allclose(column(rows, LOCAL_NAMES, "weight_q0.05"), slow, rtol=1e-4)
    np.testing.assert_allclose(
        column(rows, LOCAL_NAMES, "near_zero_1e-08"), np.sqrt((x == 0).mean(axis=1)), rtol=1e-5
    )
    slow = [np.sqrt(1 - (len(np.unique(own)) - 1) / (len(own) - 1)) for own in x]
    np.testing.assert_allclose(column(rows, LOCAL_NAMES, "repeated"), slow, atol=1e-5)


@pytest.mark.parametrize("period", [3, 5, 7, 9, 25, 49])
def test_a_period_shows_at_its_own_frequency(period):
    wave = np.tile(RNG.normal(size=period), 5000 // period + 1)[:5000]
    x = (wave + RNG.normal(size=(1, 5000))).astype(np.float32)
    noise = RNG.normal(size=(1, 5000)).astype(np.float32)
    name = f"power_period_{period}"
    shown, silent = (column(local(rows), LOCAL_NAMES, name)[0] for rows in (x, noise))
    assert shown > silent + 1
    assert column(local(x), LOCAL_NAMES, f"correlation_{period}")[0] > 0.15


def test_a_long_period_is_the_peak_of_its_octave():
    wave = np.tile(RNG.normal(size=300), 17)[:5000]
    x = (wave + 0.5 * RNG.normal(size=(1, 5000))).astype(np.float32)
    rows = local(x)
    assert column(rows, LOCAL_NAMES, "correlation_peak_256_512")[0] > 0.5
    place = column(rows, LOCAL_NAMES, "correlation_lag_256_512")[0]
    assert 256 + place * 256 == pytest.approx(300)


def test_a_change_of_layer_is_no_correlation():
    x = RNG.normal(size=(1, 5000)).astype(np.float32)
    x[:, 2000:] = 5 + 0.2 * x[:, 2000:]
    assert abs(column(local(x), LOCAL_NAMES, "correlation_50")[0]) < 0.05


@pytest.mark.parametrize("period", [9, 25, 49])
def test_what_repeats_folds(period):
    x = RNG.normal(size=(2, 5000)).astype(np.float32)
    x[0] += np.resize(RNG.normal(0, 0.3, period), 5000)
    for other in (9, 25, 49):
        shown, silent = column(local(x), LOCAL_NAMES, f"fold_weight_{other}")
        assert abs(silent) < 1
        assert (shown > 1.5) == (other == period)


def test_blocks_and_windows_are_those_of_slow_loops():
    x = slices(length=1280)
    rows = local(x)
    for i, own in enumerate(x.astype(np.float64)):
        scale = np.sort(np.abs(own))[len(own) // 2]
        spreads = [np.log(b.std()) for b in np.arcsinh(own / scale).reshape(64, 20)]
        found = column(rows, LOCAL_NAMES, "blocks_spread_100")[i]
        assert found == pytest.approx(max(spreads), abs=1e-3)
        power = [np.square(own[k : k + 16]).mean() for k in range(1280 - 15)]
        slow = np.log10(min(power) / np.square(own).mean() + 1e-8)
        assert column(rows, LOCAL_NAMES, "window16_faintest")[i] == pytest.approx(slow, abs=1e-3)


def test_a_norms_scales_among_weights_are_found():
    x = RNG.normal(0, 0.1, size=(2, 5000)).astype(np.float32)
    x[1, 3000:3048] = RNG.normal(1, 0.02, 48)
    far, near = column(local(x), LOCAL_NAMES, "window16_nearest_one")
    assert near < -3
    assert far > -1


@pytest.mark.parametrize(("function", "names"), SETS)
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 64)),
        np.full((2, 100), 0.1),
        np.full((2, 5000), 3e38),
        RNG.normal(size=(2, 64)) * 1e30,
        RNG.normal(size=(2, 300)) * 1e-40,
        np.eye(2, 400) * 1e20,
        np.repeat([[1.0, -1.0]], 32, axis=0).reshape(1, 64),
    ],
    ids=["zeros", "constant", "largest", "huge", "tiny", "one", "alternating"],
)
def test_features_are_finite(function, names, x):
    rows = function(x.astype(np.float32))
    assert rows.shape == (len(x), len(names))
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(64, 90)),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    )
)
def test_any_finite_slice_has_finite_tame_features(x):
    assert np.isfinite(statistics(x)).all()
    rows = local(x)
    assert np.isfinite(rows).all()
    assert np.abs(rows).max() < 1e3


def test_blocks_of_nearly_equal_values_have_tame_features():
    rows = np.full((1, 64), 6.9089407e16, np.float32)
    rows[0, 0] = 6.9350137e16
    assert np.abs(local(rows)).max() < 1e3


@pytest.mark.parametrize(("function", "names"), SETS)
def test_rows_do_not_know_each_other(function, names):
    x = slices(40, 5000)
    whole = function(x)
    assert len(set(names)) == len(names) == whole.shape[1]
    np.testing.assert_array_equal(whole[::-1], function(x[::-1]))
    np.testing.assert_array_equal(whole[13:14], function(x[13:14]))


@pytest.mark.parametrize(("function", "_"), SETS)
def test_what_is_no_slice_is_refused(function, _):
    with pytest.raises(UsageError, match=r"\[3, 10\] are not slices; .* at least 64"):
        function(np.zeros((3, 10), np.float32))
    with pytest.raises(UsageError, match=r"\[100\] are not slices"):
        function(np.zeros(100, np.float32))


def test_scaling_weights_moves_only_what_tells_of_scale():
    x = slices()
    one, ten = local(x), local(10 * x)
    for name in ("relative_q0.05", "correlation_3", "tamed_kurtosis", "sign_changes"):
        np.testing.assert_allclose(
            column(one, LOCAL_NAMES, name), column(ten, LOCAL_NAMES, name), atol=2e-3
        )
    np.testing.assert_allclose(
        column(ten, LOCAL_NAMES, "log_scale") - column(one, LOCAL_NAMES, "log_scale"), 1, atol=1e-4
    )
