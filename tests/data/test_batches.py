import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from kecgi.data import MapScale, SignalScale, add_noise, build, coarsen, open_store, slice_index
from kecgi.data.batches import ActivationBatches, BSPMBatches, CaseBatches, ConditionalBatches

pytestmark = pytest.mark.backend

MAPS, SIGNALS = MapScale(0.0, 300.0), SignalScale(2.0)


class Numbers(CaseBatches):
    """The least view: case numbers and a draw; counts the cases in memory."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loads, self.most = [], 0

    def load(self, cases):
        self.loads.append(cases)
        resident = sum(len(c) for c, _ in self._resident.values())
        self.most = max(self.most, resident + len(cases))
        return {"number": cases}

    def example(self, case, item, rng):
        return {"number": case["number"], "item": item, "draw": rng.random()}


def epoch_of(view):
    batches = list(view)
    view.on_epoch_end()
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


@pytest.fixture(scope="module")
def large(tmp_path_factory, small_config):
    """Twelve blocks of 16 cases, so that a small buffer holds a part of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kecgi.data.store.CHUNK_CASES", 16)
        path = tmp_path_factory.mktemp("large") / "large.zarr"
        return open_store(build(small_config, path, progress=False))


def test_each_case_once_per_epoch_in_a_new_order(large):
    cases = np.delete(np.arange(len(large)), slice(50, 90))
    view = Numbers(large, cases, 25, training=True, seed=1, buffer_chunks=3)
    assert len(view) == 7
    assert [len(b["number"]) for b in view] == [25] * 6 + [2]
    first, second = epoch_of(view), epoch_of(view)
    for epoch in first, second:
        np.testing.assert_array_equal(np.sort(epoch["number"]), cases)
        np.testing.assert_array_equal(epoch["number"], epoch["item"])
    assert np.any(first["number"] != second["number"])
    assert np.intersect1d(first["draw"], second["draw"]).size == 0
    # a batch has cases of several chunks, and two epochs don't share the neighbours of a case
    assert np.mean([len(np.unique(b["number"] // 16)) for b in list(view)[:-1]]) >= 3
    pairs = [set(zip(e["number"], e["number"][1:], strict=False)) for e in (first, second)]
    assert len(pairs[0] & pairs[1]) < 15


def test_seed_and_epoch_decide(large):
    views = [Numbers(large, np.arange(150), 32, training=True, seed=s) for s in (1, 1, 2)]
    epochs = [epoch_of(view) for view in views]
    np.testing.assert_array_equal(epochs[0]["draw"], epochs[1]["draw"])
    assert np.any(epochs[0]["number"] != epochs[2]["number"])
    views[1].epoch = 5
    views[0].epoch = 5
    np.testing.assert_array_equal(epoch_of(views[0])["draw"], epoch_of(views[1])["draw"])


def test_evaluation_is_in_order_and_fixed(large):
    view = Numbers(large, np.arange(10, 190, 3), 32, seed=1)
    first, second = epoch_of(view), epoch_of(view)
    np.testing.assert_array_equal(first["number"], np.arange(10, 190, 3))
    np.testing.assert_array_equal(first["draw"], second["draw"])
    # nor does it depend on the size of batches or on which cases there are
    other = epoch_of(Numbers(large, np.arange(100, 190, 3), 7, seed=1))
    np.testing.assert_array_equal(other["draw"], first["draw"][30:])


def test_few_cases_are_in_memory_and_each_chunk_is_read_once(large):
    view = Numbers(large, np.arange(len(large)), 25, training=True, seed=1, buffer_chunks=2)
    epoch_of(view)
    assert view.most <= 4 * 16
    assert sum(len(c) for c in view.loads) == len(large)


def test_memory_stays_below_the_buffer(large):
    total = large.read("activation_ms").nbytes
    view = ActivationBatches(large, np.arange(len(large)), 8, MAPS, training=True, buffer_chunks=1)
    view[0]
    tracemalloc.start()
    for index in range(len(view)):
        view[index]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # two chunks of twelve, the copies of one while it is decoded, and a batch
    assert peak < 0.5 * total


def test_a_small_store_is_read_once_for_all_epochs(large):
    view = Numbers(large, np.arange(90), 32, training=True, buffer_chunks=3)
    for _ in range(3):
        epoch_of(view)
    assert len(view.loads) == 6


def test_threads_get_the_same_batches(large):
    view = Numbers(large, np.arange(len(large)), 16, training=True, seed=5, buffer_chunks=1)
    alone = [view[i] for i in range(len(view))]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(view.__getitem__, range(len(view))))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a["draw"], b["draw"])


class Seen(keras.Model):
    """Keeps what it is trained on."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.batches = []

    def call(self, x):
        return self.dense(x["number"])

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        self.batches.append(keras.ops.convert_to_numpy(x["number"])[:, 0].astype(int))
        return keras.ops.mean(y_pred)


class Columns(Numbers):
    """Case numbers as a column that a layer takes."""

    def example(self, case, item, rng):
        return {"number": np.array([case["number"]], "float32")}


def test_keras_trains_on_each_case_once_per_epoch(large):
    view = Columns(large, np.arange(150), 16, training=True, seed=2, buffer_chunks=2)
    model = Seen()
    model.compile("sgd", run_eagerly=True)
    model.fit(view, epochs=3, verbose=0)
    seen = model.batches
    assert len(seen) == 3 * len(view)
    epochs = [np.concatenate(seen[i : i + len(view)]) for i in range(0, len(seen), len(view))]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(150))
    assert np.any(epochs[0] != epochs[1]) and np.any(epochs[1] != epochs[2])
    # Keras asks for the batches of a training in random order; each chunk is read once all the same
    assert sum(len(c) for c in view.loads) < 3.3 * 150
    # resumed after two epochs, the third is the same
    again = Columns(large, np.arange(150), 16, training=True, seed=2, buffer_chunks=2)
    again.epoch = 2
    model.batches.clear()
    model.fit(again, initial_epoch=2, epochs=3, verbose=0)
    np.testing.assert_array_equal(np.concatenate(model.batches[-10:]), epochs[2])


def test_keras_evaluates_on_it(large):
    number = keras.Input((1,), name="number")
    model = keras.Model({"number": number}, keras.layers.Rescaling(2.0)(number))
    view = Columns(large, np.arange(5, 150), 16)
    np.testing.assert_array_equal(model.predict(view, verbose=0)[:, 0], 2 * np.arange(5, 150))


def test_bspm_view(cohort):
    cases = np.array([1, 64, 100])
    view = BSPMBatches(cohort, cases, 2, SIGNALS)
    x = view.all()["bspm"]
    assert x.shape == (3, 9, 16, 1) and x.dtype == np.float32
    np.testing.assert_allclose(SIGNALS.invert(x[..., 0]), cohort.read("bspm_mv", cases), atol=1e-6)


def test_noise_has_the_ratio_and_is_new_in_training_only(cohort):
    cases = np.arange(40)
    clean = cohort.read("bspm_mv", cases)
    for training in (True, False):
        view = BSPMBatches(cohort, cases, 16, SIGNALS, snr_db=20.0, training=training, seed=1)
        noise = []
        for _ in range(2):
            x = view.all()["bspm"]
            order = view._epoch_order(view.epoch)
            noise.append(np.empty_like(clean))
            noise[-1][order] = SIGNALS.invert(x[..., 0]) - clean[order]
            view.on_epoch_end()
        ratio = np.mean(clean**2, axis=(1, 2)) / np.mean(noise[0] ** 2, axis=(1, 2))
        assert np.mean(10 * np.log10(ratio)) == pytest.approx(20, abs=0.3)
        if training:
            assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1
        else:
            np.testing.assert_array_equal(noise[0], noise[1])


def test_activation_view_in_three_dimensions(cohort):
    cases = np.array([3, 70, 71])
    x, mask = ActivationBatches(cohort, cases, 2, MAPS).all().values()
    truth = cohort.read("activation_ms", cases)
    assert x.shape == mask.shape == (3, 24, 24, 24, 1)
    np.testing.assert_array_equal(mask[..., 0], cohort.read("mask")[[0, 2, 2]])
    assert np.all(x[mask == 0] == 0)
    np.testing.assert_allclose(
        MAPS.invert(x[..., 0])[np.isfinite(truth)], truth[np.isfinite(truth)], atol=1e-3
    )
    coarse, mask = ActivationBatches(cohort, cases, 2, MAPS, factor=2).all().values()
    expected = coarsen(truth[1], 2)
    np.testing.assert_array_equal(mask[1, ..., 0], np.isfinite(expected))
    np.testing.assert_allclose(
        MAPS.invert(coarse[1, ..., 0])[np.isfinite(expected)],
        expected[np.isfinite(expected)],
        atol=1e-3,
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_conditional_view_of_slices(cohort, axis):
    pairs = slice_index(
        cohort.read("mask"), cohort.anatomy, np.arange(60, 70), axis=axis, least_voxels=20
    )
    view = ConditionalBatches(cohort, pairs, 7, MAPS, SIGNALS, axis=axis, snr_db=30.0, seed=4)
    batch = view.all()
    assert {k: v.shape[1:] for k, v in batch.items()} == {
        "activation": (24, 24, 1),
        "mask": (24, 24, 1),
        "bspm": (9, 16, 1),
    }
    for row in (0, len(pairs) // 2, len(pairs) - 1):
        case, position = pairs[row]
        truth = np.take(cohort.case(case)["activation_ms"], position, axis=axis)
        mask = np.isfinite(truth)
        np.testing.assert_array_equal(batch["mask"][row, ..., 0], mask)
        np.testing.assert_allclose(
            batch["activation"][row, ..., 0], np.where(mask, MAPS.apply(truth), 0), atol=1e-6
        )
    # the slices of a case share one noisy recording
    same = np.flatnonzero(pairs[:, 0] == 64)
    np.testing.assert_array_equal(batch["bspm"][same[0]], batch["bspm"][same[1]])
    assert np.ptp(batch["bspm"][same[0]] - SIGNALS.apply(cohort.case(64)["bspm_mv"])[..., None])


def test_conditional_view_in_three_dimensions(cohort):
    cases = np.array([5, 100])
    batch = ConditionalBatches(cohort, cases, 2, MAPS, SIGNALS, factor=2)[0]
    assert batch["activation"].shape == batch["mask"].shape == (2, 12, 12, 12, 1)
    np.testing.assert_allclose(
        batch["bspm"][1, ..., 0], SIGNALS.apply(cohort.case(100)["bspm_mv"]), atol=1e-6
    )


def test_view_noise_is_add_noise(cohort):
    """Nothing but the documented noise is added, from the stream that `example` gets."""
    view = BSPMBatches(cohort, np.array([9]), 1, SIGNALS)
    clean = cohort.case(9)["bspm_mv"]
    image = BSPMBatches(cohort, np.array([9]), 1, SIGNALS, snr_db=12.0).example(
        {"bspm": clean}, np.int64(9), np.random.default_rng(3)
    )
    noisy = add_noise(clean, 12.0, np.random.default_rng(3))
    np.testing.assert_allclose(image["bspm"][..., 0], SIGNALS.apply(noisy), atol=1e-7)
    np.testing.assert_allclose(view[0]["bspm"][0, ..., 0], SIGNALS.apply(clean), atol=1e-7)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"items": np.array([5, 3])}, ValueError, "sorted by case"),
        ({"items": np.array([3, 3])}, ValueError, "without repeats"),
        ({"items": np.array([], int)}, ValueError, r"shape \(0,\)"),
        ({"items": np.array([0, 192])}, IndexError, "cohort of 192"),
        ({"items": np.zeros((4, 3), int)}, ValueError, r"shape \(4, 3\)"),
        ({"items": np.array([[0, 24]])}, IndexError, "slices 24 to 24 of 24"),
        ({"items": np.array([[0, 2]]), "factor": 2}, ValueError, "slices are not coarsened"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"buffer_chunks": 0}, ValueError, "buffer_chunks is 0"),
        ({"factor": 5}, ValueError, "expected a divisor"),
        ({"axis": 3}, ValueError, "axis is 3"),
    ],
)
def test_wrong_input(cohort, change, error, message):
    options = {"items": np.arange(4), "batch_size": 2, "map_scale": MAPS} | change
    with pytest.raises(error, match=message):
        ActivationBatches(cohort, **options)
