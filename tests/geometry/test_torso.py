"""A closed torso through electrodes."""

import numpy as np
import pytest

from kecgi.geometry import Electrodes, plane, vest
from kecgi.geometry.torso import torso_through


def test_the_torso_goes_through_the_vest():
    electrodes = vest()
    torso = torso_through(electrodes, beyond_mm=80.0)
    np.testing.assert_array_equal(torso.points_mm[: len(electrodes)], electrodes.positions_mm)
    np.testing.assert_allclose(np.ptp(torso.points_mm[:, 2]), 300 + 2 * 80)
    # an elliptic cylinder of 300 mm, with its decagons' share of the ellipse, and two frusta
    ellipse = np.pi * 150 * 105 * np.sin(np.pi / 5) / (np.pi / 5) * 1e-3
    frustum = 80 / 3 * (1 + 2 / 3 + 4 / 9) * ellipse
    assert torso.volume_ml == pytest.approx(300 * ellipse + 2 * frustum, rel=0.05)


def test_no_torso_goes_through_a_plane():
    with pytest.raises(ValueError, match="42 electrodes lie in a plane"):
        torso_through(Electrodes(*_first(plane(), 42)))


def _first(electrodes, count):
    return electrodes.names[:count], electrodes.positions_mm[:count]
