"""Onsets from draws whose onsets are known."""

import numpy as np
import pytest

from kecgi.geometry import biventricular
from kecgi.inverse import earliest_sites

HEART = biventricular(grid=(42, 42, 42), spacing_mm=3.0)
VOXELS = HEART.voxels_mm


def draws_from(onsets):
    """Return maps whose activation starts at these voxels."""
    return np.linalg.norm(VOXELS - VOXELS[onsets][:, None], axis=-1)


@pytest.fixture
def two():
    """Two voxels at the far ends of the heart."""
    return int(VOXELS[:, 2].argmin()), int(VOXELS[:, 2].argmax())


def test_one_certain_onset(two):
    (site,) = earliest_sites(HEART, draws_from([two[0]] * 9))
    # the earliest tissue of a point at the rim is a cap about it
    assert np.linalg.norm(site.centre_mm - VOXELS[two[0]]) < 8
    assert 0.9 <= site.probability <= 1
    assert site.voxels == pytest.approx(0.9 * 0.01 * len(VOXELS), abs=2)
    assert site.region[two[0]]


def test_two_candidates_have_their_probabilities(two):
    sites = earliest_sites(HEART, draws_from([two[0]] * 70 + [two[1]] * 30), level=0.99)
    assert [s.probability for s in sites] == pytest.approx([0.7, 0.3], abs=0.02)
    for site, onset in zip(sites, two, strict=True):
        assert np.linalg.norm(site.centre_mm - VOXELS[onset]) < 8


def test_the_region_holds_an_onset_as_often_as_it_says():
    """Onsets spread over a neighbourhood, another of the same spread is asked for."""
    rng = np.random.default_rng(0)
    centre = VOXELS[len(VOXELS) // 2]
    near = np.flatnonzero(np.linalg.norm(VOXELS - centre, axis=1) < 10)
    sites = earliest_sites(HEART, draws_from(rng.choice(near, 2000)), share=1e-4, level=0.8)
    region = np.any([site.region for site in sites], axis=0)
    found = region[rng.choice(near, 4000)].mean()
    # few draws a voxel: the likelier ones are not quite told from the others
    assert 0.6 < found < 0.85


def test_more_draws_than_one_are_not_needed(two):
    sites = earliest_sites(HEART, draws_from([two[1]]))
    assert len(sites) == 1


@pytest.mark.parametrize(
    ("draws", "options", "message"),
    [
        (np.zeros((4, 7)), {}, r"shape \(4, 7\), expected \(draws, "),
        (np.zeros(len(VOXELS)), {}, "expected \\(draws, "),
        (np.zeros((2, len(VOXELS))), {"level": 1.0}, "level is 1.0, expected between 0 and 1"),
        (np.zeros((2, len(VOXELS))), {"share": 0}, "share is 0, expected between 0 and 1"),
    ],
)
def test_wrong_input_is_named(draws, options, message):
    with pytest.raises(ValueError, match=message):
        earliest_sites(HEART, draws, **options)
