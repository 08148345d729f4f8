"""VAE of body-surface signals."""

import keras
import numpy as np
import pytest

from kecgi.models import BSPMVAE

pytestmark = pytest.mark.backend


def family(cases, seed, shape=(10, 16)):
    """Make signals with two degrees of freedom: when a wave passes, and from where."""
    rng = np.random.default_rng(seed)
    electrode = np.linspace(-1, 1, shape[0])[:, None]
    time = np.linspace(0, 1, shape[1])
    onset, place = rng.uniform(0.3, 0.7, (cases, 1, 1)), rng.uniform(-1, 1, (cases, 1, 1))
    wave = np.exp(-(((time - onset - 0.2 * np.abs(electrode - place)) / 0.15) ** 2))
    return (0.5 + 0.5 * np.sign(electrode) * wave)[..., None].astype("float32")


def test_it_learns_a_family_of_two_parameters():
    keras.utils.set_random_seed(1)
    model = BSPMVAE((24, 32), seed=1)
    model.compile(keras.optimizers.Nadam(3e-3))
    known, unseen = family(320, 1, (24, 32)), family(64, 2, (24, 32))
    model.fit(known, batch_size=BSPMVAE.paper_batch_size, epochs=25, verbose=0)
    mean, log_var = model.encode(unseen)
    output = model.decode(mean)
    assert np.corrcoef(output.ravel(), unseen.ravel())[0, 1] >= 0.95
    per_case = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(output, unseen, strict=True)
    ]
    assert np.mean(per_case) >= 0.95
    assert (np.exp(log_var).mean(0) < 0.5).sum() >= 2, "two dimensions at least carry something"


def test_it_is_the_paper_s_by_default():
    model = BSPMVAE()
    assert (model.image_shape, model.latent_dim, model.filters) == ((100, 128), 6, 16)
    assert model.beta == 1.0 and model.paper_batch_size == 32
    assert isinstance(model.paper_optimizer(), keras.optimizers.Nadam)
    activations = {
        layer.activation.__name__
        for layer in model.decoder.layers[1:]
        if hasattr(layer, "activation")
    }
    assert activations == {"relu", "sigmoid"}


def test_inputs_are_checked_before_anything_is_done():
    model = BSPMVAE((10, 16), filters=2, units=2)
    model.compile("sgd")
    right = family(2, seed=1)
    for method in (model.fit, model.evaluate, model.predict, model.encode):
        with pytest.raises(
            ValueError, match=r"bspm must have shape \(batch, 10, 16, 1\).*\(9, 16, 1\)"
        ):
            method(right[:, 1:])
        with pytest.raises(ValueError, match=r"inputs lack 'bspm'; they hold \['ecg'\]"):
            method({"ecg": right})
    assert model.predict({"bspm": right}, verbose=0)["bspm"].shape == right.shape


def test_wrong_batches_of_a_dataset_are_named():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return (family(2, seed=1)[:, 1:],)

    model = BSPMVAE((10, 16), filters=2, units=2)
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"bspm must have shape \(batch, 10, 16, 1\)"):
        model.fit(Batches(), verbose=0)


def test_traversal_moves_one_dimension():
    model = BSPMVAE((10, 16), filters=2, units=2, latent_dim=3)
    x = family(4, seed=1)
    moved = model.traverse(x, 1, [-2.0, 0.0, 2.0])
    assert moved.shape == (3, 4, 10, 16, 1)
    code = model.encode(x)[0]
    code[:, 1] = 2.0
    np.testing.assert_allclose(moved[2], model.decode(code), atol=1e-6)
    with pytest.raises(ValueError, match="dimension must be between 0 and 2, got 3"):
        model.traverse(x, 3, [0.0])


def test_codes_are_checked():
    model = BSPMVAE((10, 16), filters=2, units=2, latent_dim=3)
    for shape in ((4, 2), (3,), (0, 3)):
        with pytest.raises(ValueError, match=r"codes must have shape \(..., batch, 3\), got"):
            model.decode(np.zeros(shape))
