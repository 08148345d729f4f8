"""Windows cut from recordings at random times."""

import numpy as np
import pytest

from kecgi.data.egm.batches import EGMCrops, LabelledCrops


def recordings():
    """Make recordings whose values tell which they are, when, and which node."""
    number, time, node = np.ogrid[0:3, 0:50, 0:2]
    return (1000.0 * number + time + 0.1 * node).astype("float32")


def test_crops_are_pieces_of_recordings_with_their_rhythm():
    rhythm = np.eye(3, dtype="float32")
    crops = EGMCrops(recordings(), rhythm, 20, 4, repeats=5, seed=1)
    assert len(crops) == 4
    seen = []
    for (batch,) in (crops[i] for i in range(4)):
        for egm, label in zip(batch["egm"], batch["rhythm"], strict=True):
            first = egm[0, 0]
            np.testing.assert_allclose(egm[:, 0], first + np.arange(20))
            np.testing.assert_allclose(egm[:, 1] - egm[:, 0], 0.1, atol=1e-3)
            assert first // 1000 == label.argmax()
            seen.append(first)
    assert np.bincount(np.array(seen, int) // 1000).tolist() == [5, 5, 5]
    assert max(np.array(seen) % 1000) <= 30


def test_epochs_differ_and_follow_the_seed():
    first, again, other = (EGMCrops(recordings(), None, 20, 3, seed=s) for s in (1, 1, 2))
    (a,), (b,), (c,) = (x[0] for x in (first, again, other))
    np.testing.assert_array_equal(a["egm"], b["egm"])
    assert (a["egm"] != c["egm"]).any() and set(a) == {"egm"}
    first.on_epoch_end()
    assert (first[0][0]["egm"] != a["egm"]).any()


def test_labelled_crops_are_the_same_windows():
    arguments = recordings(), np.eye(3, dtype="float32"), 20, 4
    egm, rhythm = LabelledCrops(*arguments)[0]
    (batch,) = EGMCrops(*arguments)[0]
    np.testing.assert_array_equal(egm, batch["egm"])
    np.testing.assert_array_equal(rhythm, batch["rhythm"])


def test_windows_longer_than_recordings_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3, 50, 2\), expected .* at least 51 times"):
        EGMCrops(recordings(), None, 51, 4)
