"""Generators and critic of the conditional WaveGAN* and Pulse2Pulse."""

import math
from collections.abc import Sequence

import keras
from keras import layers, ops

from kecgi.layers.critic_conv import PaddedConv1D, phase_shuffle
from kecgi.layers.initial import dense
from kecgi.layers.upsampling import repeat_samples
from kecgi.models.ecg_inputs import LEADS

KERNEL = 25
START = 2  # samples before the first upsampling
STAGES = 6
CRITIC_STRIDES = (2, 2, 2, 2, 4, 4, 4)
CRITIC_WIDTHS = (1, 2, 5, 10, 20, 25, 100)  # times the size
REACH = 2
LEAST_SAMPLES = 4
SHORT = 128  # samples up to which windows and a product are the faster convolution


def upsampling_factors(length: int) -> tuple[int, ...]:
    """Return six factors whose product is half the length, the largest first.

    Examples
    --------
    >>> upsampling_factors(5000)  # the paper's
    (5, 5, 5, 2, 5, 2)
    """
    rest, primes = length // START, []
    for prime in (5, 3, 2):
        while rest % prime == 0 and rest > 0:
            rest //= prime
            primes.append(prime)
    if rest != 1 or length % START:
        raise ValueError(f"length must be even and a product of 2, 3 and 5, got {length}")
    while len(primes) > STAGES:
        primes = sorted([*primes[:-2], primes[-1] * primes[-2]], reverse=True)
    primes += [1] * (STAGES - len(primes))
    primes[3], primes[4] = primes[4], primes[3]
    return tuple(primes)


def critic_lengths(length: int, strides: Sequence[int]) -> list[int]:
    """Return the samples after each convolution of the critic."""
    lengths = []
    for stride in strides:
        length = (length - 3) // stride + 1  # kernel 25, 11 zeros on each side
        lengths.append(length)
    if lengths[-1] < 1:
        raise ValueError(
            f"the critic's strides {tuple(strides)} leave no sample: give fewer or smaller ones"
        )
    return lengths


def fitting_strides(length: int) -> tuple[int, ...]:
    """Return as many of the paper's strides as leave four samples after the last convolution.

    Examples
    --------
    >>> fitting_strides(1000)
    (2, 2, 2, 2, 4, 4)
    """
    strides = CRITIC_STRIDES[:1]
    for stride in CRITIC_STRIDES[1:]:
        if (critic_lengths(length, strides)[-1] - 3) // stride + 1 < LEAST_SAMPLES:
            break
        strides += (stride,)
    return strides


class ClassOffset(layers.Layer):
    """Add to noise a learned tensor for each class that holds."""

    def __init__(self, classes: int, shape: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.tensors = self.add_weight(
            shape=(classes, *shape),
            initializer=keras.initializers.RandomUniform(0.0, 1.0),
            name="tensors",
        )
        self.built = True

    def call(self, noise, labels):
        """Return noise (batch, ...) plus the tensors of labels (batch, classes)."""
        return noise + ops.tensordot(labels, self.tensors, 1)


class WaveGANGenerator(layers.Layer):
    """A dense layer and six upsampling convolutions, from 100 random numbers.

    Parameters
    ----------
    classes : int
        Number of classes.
    length : int
        Samples of an ECG.
    size : int
        Width of the model, a multiple of 10.
    """

    def __init__(self, classes: int, length: int, size: int, **kwargs):
        super().__init__(**kwargs)
        self.noise_shape = (2 * size,)
        self.width = 5 * size
        self.offset = ClassOffset(classes, self.noise_shape, name="offset")
        self.expand = dense(2 * size, START * self.width, normal=True, name="expand")
        self.factors = upsampling_factors(length)
        self.up = [
            _convolution(before, after, f"up_{i}")
            for i, (before, after) in enumerate(
                zip([self.width, *_decoder_widths(size)], _decoder_widths(size), strict=False)
            )
        ]
        self.built = True

    def call(self, noise, labels):
        """Return ECGs (batch, length, 8) in [-1, 1]."""
        x = self.expand(self.offset(noise, labels))
        x = ops.relu(ops.reshape(x, (-1, START, self.width)))
        for i, (factor, convolution) in enumerate(zip(self.factors, self.up, strict=True)):
            x = convolution(repeat_samples(x, factor))
            x = ops.tanh(x) if i == STAGES - 1 else ops.relu(x)
        return x


class Pulse2PulseGenerator(layers.Layer):
    """A U-Net from noise of the shape of an ECG to an ECG.

    Parameters
    ----------
    classes, length, size
        As in :class:`WaveGANGenerator`.
    """

    def __init__(self, classes: int, length: int, size: int, **kwargs):
        super().__init__(**kwargs)
        self.noise_shape = (length, LEADS)
        self.offset = ClassOffset(classes, self.noise_shape, name="offset")
        self.factors = upsampling_factors(length)
        up = _decoder_widths(size)
        down = [*up[-2::-1], up[0]]
        self.down = [
            _convolution(before, after, f"down_{i}", stride)
            for i, (before, after, stride) in enumerate(
                zip([LEADS, *down], down, self.factors[::-1], strict=False)
            )
        ]
        # all but the innermost and the outermost level are concatenated before they go up
        skips = [0, *down[-2:0:-1], 0]
        self.up = [
            _convolution(before + skip, after, f"up_{i}")
            for i, (before, skip, after) in enumerate(
                zip([down[-1], *up[:-1]], skips, up, strict=True)
            )
        ]
        self.built = True

    def call(self, noise, labels):
        """Return ECGs (batch, length, 8) in [-1, 1]."""
        x, kept = self.offset(noise, labels), []
        for convolution in self.down:
            x = ops.leaky_relu(convolution(x), 0.01)
            kept.append(x)
        for i, (factor, convolution) in enumerate(zip(self.factors, self.up, strict=True)):
            if 0 < i < STAGES - 1:
                x = ops.concatenate([x, kept[STAGES - 1 - i]], axis=-1)
            x = convolution(repeat_samples(x, factor))
            x = ops.tanh(x) if i == STAGES - 1 else ops.relu(x)
        return x


def _decoder_widths(size):
    if size < 10 or size % 10:
        raise ValueError(f"size must be a multiple of 10, got {size}")
    return [5 * size, 3 * size, size, size // 2, size // 5, LEADS]


def _convolution(channels, filters, name, stride=1):
    # The published models start from PyTorch's smaller weights, through which noise and labels
    # fade: six layers on, all records are alike. The last layer keeps them, for its tanh.
    normal = filters != LEADS
    layer = PaddedConv1D(filters, KERNEL, stride, KERNEL // 2, normal=normal, name=name)
    layer.build((None, None, channels))
    return layer


class Critic(layers.Layer):
    """Seven strided convolutions with phase shuffles between them, and a score.

    Parameters
    ----------
    classes : int
        Number of classes that the score depends on, by projection (Miyato & Koyama, ICLR 2018);
        0 for the paper's critic, which doesn't know what was asked for.
    length, size
        As in :class:`WaveGANGenerator`.
    strides : sequence of int
        Stride of each convolution; fewer than seven leave out the last and widest.
    """

    def __init__(
        self,
        classes: int,
        length: int,
        size: int,
        strides: Sequence[int] = CRITIC_STRIDES,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 1 <= len(strides) <= len(CRITIC_WIDTHS):
            raise ValueError(f"give 1 to {len(CRITIC_WIDTHS)} strides, got {tuple(strides)}")
        self.lengths = critic_lengths(length, strides)
        self.convolutions, channels = [], LEADS
        for i, (stride, samples) in enumerate(zip(strides, self.lengths, strict=True)):
            layer = PaddedConv1D(
                CRITIC_WIDTHS[i] * size,
                KERNEL,
                stride,
                KERNEL // 2 - 1,
                normal=True,
                by_windows=samples <= SHORT,
                name=f"convolution_{i}",
            )
            layer.build((None, length, channels))
            channels = layer.filters
            self.convolutions.append(layer)
        flat = channels * self.lengths[-1]
        self.score = dense(flat, 1, normal=True, name="score")
        self.project = None
        if classes:
            self.project = dense(flat, classes, use_bias=False, normal=True, name="project")
        self.built = True

    @property
    def shuffles(self) -> int:
        """Number of phase shuffles."""
        return len(self.convolutions) - 1

    def call(self, x, labels, shifts):
        """Score ECGs.

        Parameters
        ----------
        x : tensor, shape (batch, length, 8)
            ECGs in [-1, 1].
        labels : tensor, shape (batch, classes)
            Multi-hot.
        shifts : int tensor, shape (batch, shuffles)
            Phase shifts, between -2 and 2.

        Returns
        -------
        tensor, shape (batch,)
        """
        for i, (convolution, samples) in enumerate(
            zip(self.convolutions, self.lengths, strict=True)
        ):
            x = ops.leaky_relu(convolution(x), 0.2)
            if i < self.shuffles:
                x = phase_shuffle(x, shifts[:, i], min(REACH, samples - 1))
        flat = ops.reshape(x, (-1, math.prod(x.shape[1:])))
        score = self.score(flat)[:, 0]
        if self.project is not None:
            score = score + ops.sum(labels * self.project(flat), axis=-1)
        return score
