import numpy as np
import pytest

from kecgi.data.ecg.leads import to_twelve
from kecgi.evaluate import (
    LeadRegression,
    completion_errors,
    completion_intervals,
    duplicates,
    lead_law_error_uv,
    nearest_rms_mv,
    obey_lead_laws,
    wasserstein,
)
from kecgi.geometry.electrodes import LEADS_12


def ecgs(n, seed=0, samples=400):
    return to_twelve(np.random.default_rng(seed).standard_normal((n, 8, samples)))


def test_lead_laws():
    ecg = ecgs(5)
    assert max(lead_law_error_uv(ecg).values()) < 1e-4
    ecg[3, 2, 100] += 0.002
    assert lead_law_error_uv(ecg)["einthoven"] == pytest.approx(2)
    ecg[0, 3, 7] += 0.05
    assert lead_law_error_uv(ecg)["goldberger"] == pytest.approx(50)


def test_copies_are_found_and_nothing_else():
    ecg = ecgs(300)
    assert duplicates(ecg) == []
    ecg[250] = ecg[7]
    ecg[101] = ecg[100] + np.where(np.arange(400) == 200, 0.0009, 0)
    ecg[201] = ecg[200] + np.where(np.arange(400) == 203, 0.0011, 0)  # differs by more in one place
    assert duplicates(ecg) == [(7, 250), (100, 101)]
    assert duplicates(ecg, tolerance_mv=0.0012) == [(7, 250), (100, 101), (200, 201)]


def test_copies_of_the_training_set():
    train, made = ecgs(40), ecgs(10, seed=1)
    made[4] = train[33] + 0.0005
    assert duplicates(made, train) == [(4, 33)]
    with pytest.raises(ValueError, match="expected one length"):
        duplicates(made, train[..., :100])


def test_nearest_difference():
    train = ecgs(30)
    made = train[[4, 9]] + np.array([0.2, 0.0])[:, None, None]
    np.testing.assert_allclose(nearest_rms_mv(made, train), [0.2, 0], atol=1e-9)
    # independent ones differ by the root of twice the variance
    far, own = nearest_rms_mv(ecgs(3, seed=5), train), train.std()
    np.testing.assert_allclose(far, np.sqrt(2) * own, rtol=0.1)


def beats(n, rate, height, pr=160.0, seed=0):
    """ECGs with a P and a QRS: eight leads of different size."""
    rng = np.random.default_rng(seed)
    time_ms = np.arange(5000) * 2.0
    made = []
    for _ in range(n):
        signal = np.zeros_like(time_ms)
        for at in np.arange(300 + 300 * rng.random(), 9900, 60_000 / rate):
            signal += height * np.exp(-0.5 * ((time_ms - at) / 15) ** 2)
            signal += 0.15 * np.exp(-0.5 * ((time_ms - at + pr) / 18) ** 2)
        made.append(np.linspace(0.5, 1.5, 8)[:, None] * signal)
    return to_twelve(np.stack(made))


def test_wasserstein_measures_shifts():
    real = beats(6, 75, 1.0)
    same = wasserstein(real, beats(6, 75, 1.0, seed=1), 500)
    other = wasserstein(real, beats(6, 90, 1.3, pr=220.0), 500)
    assert same["rate_bpm"] < 0.5 and other["rate_bpm"] == pytest.approx(15, abs=0.5)
    assert same["highest_mv"] < 0.01 < other["highest_mv"]
    # chest leads are 1.1 times (0.5 to 1.5) the signal on average
    gains = np.abs(real.max(axis=-1)).mean(axis=0)
    assert other["highest_mv"] == pytest.approx(0.3 * gains[gains > 0.3].sum() / 12, rel=0.15)
    assert other["pr_ms"] == pytest.approx(60, abs=10) and same["pr_ms"] < 5
    assert same["pr_found"] == 0


def test_wasserstein_says_where_p_is_missing():
    real, silent = beats(3, 75, 1.0), beats(3, 75, 1.0, pr=0.0)
    found = wasserstein(real, silent, 500)
    assert found["pr_found"] == -1 and np.isnan(found["pr_ms"])


def test_errors_count_the_missing_leads_alone():
    true = ecgs(3)
    made = true.copy()
    made[:, LEADS_12.index("V5")] += 100  # given
    made[:, LEADS_12.index("V2")] += 0.3
    found = completion_errors(true, made)
    assert found["mae"] == pytest.approx(0.3 / 9) and found["mse"] == pytest.approx(0.09 / 9)
    assert found["mae_per_lead"]["V2"] == pytest.approx(0.3)
    assert set(found["mse_per_lead"]) == set(LEADS_12) - {"II", "V1", "V5"}
    with pytest.raises(ValueError, match=r"expected \(n, 12, time\)"):
        completion_errors(true, made[:, :8])


def test_linear_leads_are_completed_exactly():
    """Leads that are linear in the given ones: from three dipole components."""
    rng = np.random.default_rng(2)
    mix = rng.standard_normal((12, 3))
    signals = np.einsum("lk,nkt->nlt", mix, rng.standard_normal((8, 3, 200))) + 0.1
    model = LeadRegression.fit(signals[:5])
    given_only = np.where(np.isin(LEADS_12, model.given)[:, None], signals[5:], np.nan)
    np.testing.assert_allclose(model.predict(np.nan_to_num(given_only)), signals[5:], atol=1e-9)


def test_leads_that_lag_behind_are_completed_from_around():
    """A lead that is a given one two samples late is found with a reach of two, not without."""
    signals = np.random.default_rng(5).standard_normal((6, 12, 300))
    signals[:, 8, 2:] = signals[:, 6, :-2]
    near, at_once = (LeadRegression.fit(signals[:4], reach=r) for r in (2, 0))
    assert (near.reach, at_once.reach) == (2, 0)
    assert near.coefficients.shape == (16, 12)
    errors = [np.square(m.predict(signals[4:]) - signals[4:])[:, 8].mean() for m in (near, at_once)]
    assert errors[0] < 0.03 and errors[1] > 0.8
    with pytest.raises(ValueError, match="reach is 300"):
        LeadRegression.fit(signals, reach=300)


@pytest.mark.parametrize("given", [("II", "V1", "V5"), ("I",), ("I", "II", "V2"), ("V1", "aVF")])
def test_lead_laws_hold_afterwards_and_bring_leads_nearer(given):
    true = to_twelve(np.random.default_rng(6).standard_normal((3, 8, 50)))
    np.testing.assert_allclose(obey_lead_laws(true, given), true, atol=1e-12)
    noise = 0.1 * np.random.default_rng(7).standard_normal(true.shape)
    noise[:, [LEADS_12.index(name) for name in given]] = 0
    lawful = obey_lead_laws(true + noise, given)
    assert lead_law_error_uv(lawful)["einthoven"] < 1e-9
    at = [LEADS_12.index(name) for name in given]
    np.testing.assert_allclose(lawful[:, at], true[:, at], atol=1e-12)
    before, after = (np.square(x).sum(axis=1) for x in (noise, lawful - true))
    assert np.all(after <= before + 1e-12) and after.mean() < 0.8 * before.mean()
    # nothing lawful is nearer
    step = obey_lead_laws(lawful + 0.01 * np.random.default_rng(8).standard_normal(true.shape))
    step[:, at] = true[:, at]
    step = obey_lead_laws(step, given)
    nearness = [np.square(x - true - noise).sum(axis=1) for x in (lawful, step)]
    assert np.all(nearness[0] <= nearness[1] + 1e-12)


def test_completion_intervals_are_those_of_the_mean():
    """Errors of one size a record: the interval is that of a mean, wider for whole hearts."""
    rng = np.random.default_rng(9)
    true = ecgs(200, seed=1)[..., :8]
    size = np.repeat(rng.uniform(0.1, 0.5, 50), 4)[:, None, None]
    groups = np.arange(200) // 4
    made, rival = true + size, true + 2 * size
    found = completion_intervals(true, made, groups, rival, rng=rng)
    assert found["mse_ratio"] == pytest.approx(0.25)
    assert found["mse_ratio_interval"] == pytest.approx([0.25, 0.25])
    values = size[::4, 0, 0]
    half = 1.96 * values.std() / np.sqrt(50)
    expected = [values.mean() - half, values.mean() + half]
    assert found["mae_interval"] == pytest.approx(expected, abs=0.15 * half)
    alone = completion_intervals(true, made, np.arange(200), rival, rng=rng)
    assert np.diff(alone["mse_interval"]) < 0.6 * np.diff(found["mse_interval"])


def test_regression_is_the_least_squares_solution():
    signals = ecgs(4, seed=3)
    model = LeadRegression.fit(signals, given=("I", "V2"))
    flat = signals.transpose(1, 0, 2).reshape(12, -1)
    design = np.stack([flat[0], flat[7], np.ones(flat.shape[1])], axis=1)
    for lead in (8, 11):
        expected = np.linalg.lstsq(design, flat[lead], rcond=None)[0]
        np.testing.assert_allclose(model.coefficients[:, lead], expected, atol=1e-9)
    completed = model.predict(signals.astype(np.float32))
    assert completed.dtype == np.float32
    np.testing.assert_array_equal(completed[:, 7], signals[:, 7].astype(np.float32))
