import numpy as np
import pytest

from kecgi.data import add_noise


@pytest.fixture
def signals():
    time = np.linspace(0, 6, 400)
    amplitude = np.array([0.1, 1.0, 3.0])[:, None, None] * np.linspace(0.2, 1, 50)[:, None]
    return (amplitude * np.sin(time)).astype(np.float32)


def measured_db(clean, noisy):
    power = np.mean(clean**2, axis=(-2, -1)), np.mean((noisy - clean) ** 2, axis=(-2, -1))
    return 10 * np.log10(power[0] / power[1])


@pytest.mark.parametrize("snr_db", [30.0, 10.0, -3.0, np.array([40.0, 20.0, 0.0])])
def test_each_case_has_the_ratio_asked_for(signals, snr_db):
    noisy = add_noise(signals, snr_db, np.random.default_rng(1))
    # 20 000 samples give the power to 1 %, 0.04 dB
    np.testing.assert_allclose(measured_db(signals, noisy), np.broadcast_to(snr_db, 3), atol=0.15)
    assert noisy.dtype == np.float32


def test_noise_is_white_and_equal_at_all_electrodes(signals):
    noise = add_noise(signals, 10.0, np.random.default_rng(2))[2] - signals[2]
    deviation = noise.std(axis=1)
    assert deviation.max() / deviation.min() < 1.25
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1]) / noise.var()) < 0.03


def test_seed_decides(signals):
    a, b, c = (add_noise(signals, 20.0, np.random.default_rng(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)


def test_wrong_input(signals):
    with pytest.raises(ValueError, match="expected finite decibels"):
        add_noise(signals, np.nan, np.random.default_rng(0))
    with pytest.raises(ValueError, match="electrode, time"):
        add_noise(signals[0, 0], 20.0, np.random.default_rng(0))
