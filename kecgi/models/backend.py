"""The few things that Keras leaves to its backends."""

import contextlib

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    def input_gradient(function, x):
        """Gradient of the sum of ``function(x)`` with respect to x, itself differentiable."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(function(x))
        return tape.gradient(total, x)

    no_gradients = contextlib.nullcontext

elif keras.backend.backend() == "torch":
    import torch

    def input_gradient(function, x):
        """Gradient of the sum of ``function(x)`` with respect to x, itself differentiable."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(function(x).sum(), x, create_graph=True)[0]

    no_gradients = torch.no_grad

else:
    import jax

    def input_gradient(function, x):
        """Gradient of the sum of ``function(x)`` with respect to x, itself differentiable."""
        return jax.grad(lambda x: function(x).sum())(x)

    no_gradients = contextlib.nullcontext
