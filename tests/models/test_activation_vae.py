"""VAE of activation maps."""

import keras
import numpy as np
import pytest

from kecgi.models import ActivationVAE

pytestmark = pytest.mark.backend


def maps(cases, seed, shape=(12, 14)):
    """Make distances from a random point, scaled to [-1, 1], in a ring, with NaN around it."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    onset = rng.uniform(-1, 1, (len(shape), cases, *(1,) * len(shape)))
    distance = np.sqrt(sum((a - o) ** 2 for a, o in zip(axes, onset, strict=True)))
    radius = np.sqrt(sum(a**2 for a in axes))
    mask = np.broadcast_to((radius < 1) & (radius > 0.4), distance.shape)
    activation = np.where(mask, distance / 1.25 - 1, np.nan)[..., None].astype("float32")
    return {"activation": activation, "mask": mask[..., None]}


def test_it_learns_maps_of_a_moving_onset():
    keras.utils.set_random_seed(1)
    train, unseen = maps(400, 1, (20, 22)), maps(80, 2, (20, 22))
    model = ActivationVAE((20, 22), seed=1)
    model.compile(ActivationVAE.paper_optimizer())
    model.fit(train, batch_size=ActivationVAE.paper_batch_size, epochs=10, verbose=0)
    output = model.decode(model.encode(unseen)[0])
    mse = np.mean(np.square(output - unseen["activation"])[unseen["mask"]])
    constant = np.mean(train["activation"], axis=0)
    variance = np.mean(np.square(constant - unseen["activation"])[unseen["mask"]])
    assert mse <= 0.018
    assert mse <= 0.2 * variance


def test_only_the_mask_counts():
    """What lies outside it changes neither the code nor the loss."""
    model = ActivationVAE((12, 14), filters=2, units=4)
    inputs = maps(3, seed=1)
    other = inputs | {"activation": np.where(inputs["mask"], inputs["activation"], 7.0)}
    np.testing.assert_array_equal(model.encode(inputs), model.encode(other))
    outputs = model(inputs)
    reconstruction, _ = model.elbo_terms(inputs, outputs)
    predicted = keras.ops.convert_to_numpy(outputs["activation"])
    expected = np.nansum(np.square(predicted - inputs["activation"]), axis=(1, 2, 3))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(reconstruction), expected, rtol=1e-5)
    assert (predicted[~inputs["mask"]] == 0).all()


def test_without_a_mask_the_whole_image_counts():
    model = ActivationVAE((12, 14), filters=2, units=4)
    image = np.nan_to_num(maps(3, seed=1)["activation"])
    outputs = model(image)
    predicted = keras.ops.convert_to_numpy(outputs["activation"])
    reconstruction = keras.ops.convert_to_numpy(
        model.elbo_terms(keras.ops.convert_to_tensor(image), outputs)[0]
    )
    np.testing.assert_allclose(
        reconstruction, np.square(predicted - image).sum((1, 2, 3)), rtol=1e-5
    )


def test_it_is_the_paper_s_by_default():
    model = ActivationVAE()
    assert (model.image_shape, model.latent_dim, model.filters) == ((64, 64), 6, 16)
    assert model.beta == 1.0 and model.paper_batch_size == 25
    assert isinstance(model.paper_optimizer(), keras.optimizers.RMSprop)
    for part in (model.encoder, model.decoder):
        activations = {
            layer.activation.__name__ for layer in part.layers if hasattr(layer, "activation")
        }
        assert activations - {"linear"} == {"tanh"}
    heads = [layer for layer in model.encoder.layers if layer.name in ("mean", "log_var")]
    assert [head.activation.__name__ for head in heads] == ["linear", "linear"]


def test_a_mask_of_another_grid_is_named():
    model = ActivationVAE((12, 14), filters=2, units=4)
    inputs = maps(3, seed=1)
    with pytest.raises(ValueError, match=r"mask must have shape \(batch, 12, 14, 1\)"):
        model.encode(inputs | {"mask": inputs["mask"][:, 1:]})
