"""Codes of rhythms in a plane."""

import numpy as np
import pytest

from kecgi.figures import latent_by_rhythm


def test_axes_are_principal_components_of_the_first_codes():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(50, 3)) * [5, 1, 0.01]
    codes = {"sinus": wide[:25], "atrial_fibrillation": wide[25:]}
    figure = latent_by_rhythm(codes, codes)
    (axes,) = figure.axes
    assert len(axes.collections) == 4
    assert axes.get_xlabel().startswith("Component 1 (9")
    at = axes.collections[0].get_offsets()
    centred = wide[:25] - wide.mean(axis=0)
    assert abs(np.corrcoef(at[:, 0], centred[:, 0])[0, 1]) > 0.99
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:2] == ["sinus, real", "sinus, generated"] and "_" not in "".join(labels)


def test_a_single_code_has_no_components():
    with pytest.raises(ValueError, match=r"codes have shape \(1, 3\), expected two or more"):
        latent_by_rhythm({"sinus": np.zeros((1, 3))})
