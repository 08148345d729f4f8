"""How NVAE and cNVAE-ECG are trained: weight of the divergence, its balance, and the optimiser.

Sources: Vahdat & Kautz, NVAE, NeurIPS 2020; cNVAE-ECG, arXiv 2503.13469.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

FIRST_WEIGHT = 1e-4


def kl_weight(step, warmup_steps: int):
    """Weight of the divergence: 1e-4 for a moment, then a straight line to 1.

    Parameters
    ----------
    step : int or scalar tensor
        Training steps done.
    warmup_steps : int
        Steps of the line; cNVAE-ECG takes 0.3 of all steps, and starts after 1e-4 of them.

    Returns
    -------
    scalar tensor, float32
    """
    start = round(warmup_steps * FIRST_WEIGHT / 0.3)
    weight = (ops.cast(step, "float32") - start) / warmup_steps
    return ops.clip(weight, FIRST_WEIGHT, 1.0)


def balance_weights(kl, groups: Sequence[int]):
    """Weights that keep all latent groups in use, of mean 1 over the groups.

    A group whose divergence is small for its size gets a small weight, and so is punished less.

    Parameters
    ----------
    kl : tensor, shape (groups,)
        Mean divergence of each group, coarsest first.
    groups : sequence of int
        Groups of each scale, coarsest first.

    Returns
    -------
    tensor, shape (groups,)
    """
    sizes = np.concatenate([[4.0**scale / n] * n for scale, n in enumerate(groups)])
    carried = ops.abs(kl) / ops.cast(sizes / sizes.min(), kl.dtype) + keras.config.epsilon()
    return carried / ops.mean(carried)


@keras.saving.register_keras_serializable(package="kecgi")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear rise step by step, then a cosine epoch by epoch.

    Parameters
    ----------
    steps_per_epoch : int
        Steps of an epoch.
    epochs : int
        All epochs; the rise takes the first 20th of them.
    highest, lowest : float
        Learning rate after the rise and in the last epoch.
    """

    def __init__(
        self, steps_per_epoch: int, epochs: int = 500, highest: float = 1e-3, lowest: float = 5e-4
    ):
        self.steps_per_epoch, self.epochs = steps_per_epoch, epochs
        self.highest, self.lowest = highest, lowest

    def __call__(self, step):
        """Return the learning rate of a step, counted from 0."""
        rise = max(self.epochs // 20, 1)
        step = ops.cast(step, "float32")
        risen = self.highest * step / (rise * self.steps_per_epoch)
        # a small number against rounding: step k * steps_per_epoch begins epoch k
        epoch = ops.floor((step + 1e-3) / self.steps_per_epoch)
        share = ops.clip((epoch - rise) / max(self.epochs - rise - 1, 1), 0.0, 1.0)
        cosine = 0.5 * (1.0 + ops.cos(math.pi * share))
        fallen = self.lowest + (self.highest - self.lowest) * cosine
        return ops.where(epoch < rise, risen, fallen)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            "steps_per_epoch": self.steps_per_epoch,
            "epochs": self.epochs,
            "highest": self.highest,
            "lowest": self.lowest,
        }


if keras.backend.backend() == "torch":
    import torch

    class _Adamax(keras.optimizers.Adamax):
        @torch.no_grad()
        def _backend_update_step(self, grads, trainable_variables, learning_rate):
            # In place and one variable after the other: for the paper's 257 million weights each
            # pass through the memory takes a while.
            rate = float(learning_rate) / (1.0 - self.beta_1 ** (int(self.iterations) + 1))
            for gradient, variable in zip(grads, trainable_variables, strict=True):
                index, weight = self._get_variable_index(variable), variable.value
                mean, largest = self._m[index].value, self._u[index].value
                gradient = gradient.add(weight, alpha=self.decay)
                mean.lerp_(gradient, 1.0 - self.beta_1)
                gradient.abs_().add_(self.epsilon)
                torch.maximum(largest.mul_(self.beta_2), gradient, out=largest)
                weight.addcdiv_(mean, largest, value=-rate)

else:

    class _Adamax(keras.optimizers.Adamax):
        def _backend_update_step(self, grads, trainable_variables, learning_rate):
            # once for all variables, of which there may be thousands
            power = ops.power(self.beta_1, ops.cast(self.iterations + 1, "float32"))
            rate = learning_rate / (1.0 - power)
            super()._backend_update_step(grads, trainable_variables, rate)

        def update_step(self, gradient, variable, learning_rate):
            """Update one variable, at a rate that allows for the mean's start from 0."""
            index = self._get_variable_index(variable)
            rate, gradient = (ops.cast(x, variable.dtype) for x in (learning_rate, gradient))
            mean, largest = self._m[index], self._u[index]
            gradient = gradient + self.decay * ops.convert_to_tensor(variable)
            self.assign_add(mean, (1.0 - self.beta_1) * (gradient - mean))
            least = ops.abs(gradient) + self.epsilon
            self.assign(largest, ops.maximum(self.beta_2 * largest, least))
            self.assign_sub(variable, rate * mean / largest)


@keras.saving.register_keras_serializable(package="kecgi")
class CoupledAdamax(_Adamax):
    """Adamax as PyTorch has it: epsilon inside the maximum, weight decay added to the gradient.

    Keras adds epsilon after the maximum and subtracts the decay from the weights, which with the
    large epsilon of cNVAE-ECG are other algorithms.

    Parameters
    ----------
    learning_rate : float or schedule
        Step size.
    decay : float
        Factor on each weight that is added to its gradient.
    epsilon : float
        Added to the gradient's absolute value.
    **kwargs
        As for ``keras.optimizers.Adamax``.
    """

    def __init__(self, learning_rate=1e-3, decay: float = 3e-4, epsilon: float = 1e-3, **kwargs):
        super().__init__(learning_rate, epsilon=epsilon, **kwargs)
        self.decay = decay

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {"decay": self.decay}
