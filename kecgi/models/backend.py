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

    def compiled(function):
        """Compile what is called often; sizes of arrays may change from call to call."""
        return tf.function(function, reduce_retracing=True, autograph=False)

elif keras.backend.backend() == "torch":
    import torch

    def input_gradient(function, x):
        """Gradient of the sum of ``function(x)`` with respect to x, itself differentiable."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(function(x).sum(), x, create_graph=True)[0]

    no_gradients = torch.no_grad

    def compiled(function):
        """Return the function without bookkeeping for gradients: eager calls are fast here."""
        return torch.no_grad()(function)

else:
    import jax

    def input_gradient(function, x):
        """Gradient of the sum of ``function(x)`` with respect to x, itself differentiable."""
        return jax.grad(lambda x: function(x).sum())(x)

    no_gradients = contextlib.nullcontext

    def compiled(function):
        """Return the function: compiled, it would hold the weights as they were then."""
        return function
