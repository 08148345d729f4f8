"""Mixture of discretised logistics for the eight independent leads of an ECG.

At each time step a mixture of M components, shared by the leads, describes the leads in the order
I, III, V1, V2, ..., V6. Within a component, lead III depends on I, and each chest lead on the chest
leads before it, by learned coefficients. Time steps are independent.

The parameters of a step are ``33 M`` channels: M logits; then, each for the M components, 8 means,
8 logarithms of scales and 16 coefficients, in the order of :data:`PARENTS`.

Sources: Salimans et al., PixelCNN++, ICLR 2017; Vahdat & Kautz, NVAE, NeurIPS 2020; cNVAE-ECG,
arXiv 2503.13469. In that paper the coefficients multiply the location parameters of the earlier
leads (``dependency="mean"``), in its code their values (``dependency="value"``), which is a proper
factorisation of the joint density and the default here. The paper's dependent scales, which can
become negative, are left out.
"""

import math
from typing import Literal, NamedTuple

from keras import ops

LEADS = ("I", "III", "V1", "V2", "V3", "V4", "V5", "V6")
PARENTS = ((), (0,), (), (2,), (2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6))
COEFFICIENTS = sum(map(len, PARENTS))
CHANNELS_PER_COMPONENT = 1 + 2 * len(LEADS) + COEFFICIENTS

LOWEST_LOG_SCALE = -7.0
HALF_BINS = 255.0  # the interval [-1, 1] has bins of width 2 / 255
SMALLEST_UNIFORM = 1e-5
Dependency = Literal["value", "mean"]


class LeadParameters(NamedTuple):
    """What the network says of a step; lists over leads, tensors (batch, time, M)."""

    logits: object
    means: list
    log_scales: list
    coefficients: list


def split_parameters(parameters) -> LeadParameters:
    """Split (batch, time, 33 M) channels; log scales are clamped, coefficients squashed."""
    channels = parameters.shape[-1]
    if channels % CHANNELS_PER_COMPONENT:
        raise ValueError(
            f"parameters must have a multiple of {CHANNELS_PER_COMPONENT} channels, got {channels}"
        )
    leads = len(LEADS)
    logits, *rows = ops.split(parameters, CHANNELS_PER_COMPONENT, axis=-1)
    return LeadParameters(
        logits,
        rows[:leads],
        [ops.maximum(row, LOWEST_LOG_SCALE) for row in rows[leads : 2 * leads]],
        [ops.tanh(row) for row in rows[2 * leads :]],
    )


def log_likelihood(x, parameters, dependency: Dependency = "value"):
    """Log density of each time step, in nats.

    Lead by lead, with running sums, because all leads and components at once would take tens of
    megabytes for a record of 5000 samples, several times over.

    Parameters
    ----------
    x : tensor, shape (batch, time, 8)
        Leads in [0, 1].
    parameters : tensor, shape (batch, time, 33 M)
        Output of the network.
    dependency : {"value", "mean"}
        What of the earlier leads the coefficients multiply.

    Returns
    -------
    tensor, shape (batch, time)
    """
    given = split_parameters(parameters)
    v = 2.0 * x - 1.0
    earlier = _dependent_on(dependency, given.means, [v[..., i, None] for i in range(len(LEADS))])
    total = ops.log_softmax(given.logits, axis=-1)
    for lead, mean in enumerate(_locations(given.means, given.coefficients, earlier)):
        total = total + _log_bin(v[..., lead, None], mean, given.log_scales[lead])
    return ops.logsumexp(total, axis=-1)


def _locations(means, coefficients, earlier):
    """Yield the location of each lead in turn; `earlier` is read no further than it must be."""
    next_coefficient = iter(coefficients)
    for mean, parents in zip(means, PARENTS, strict=True):
        for parent in parents:
            mean = mean + next(next_coefficient) * earlier[parent]
        yield mean


def _dependent_on(dependency, means, values):
    if dependency not in ("value", "mean"):
        raise ValueError(f'dependency must be "value" or "mean", got {dependency!r}')
    return means if dependency == "mean" else values


def _log_bin(v, mean, log_scale):
    """Log probability of the bin about v; the outermost bins reach to infinity."""
    inverse = ops.exp(-log_scale)
    centred = inverse * (v - mean)
    upper, lower = centred + inverse / HALF_BINS, centred - inverse / HALF_BINS
    inside = ops.sigmoid(upper) - ops.sigmoid(lower)
    # far in the tail both sigmoids round to the same: density times width
    density = centred - log_scale - 2.0 * ops.softplus(centred)
    density = density - math.log(HALF_BINS / 2.0)
    body = ops.where(inside > 1e-5, ops.log(ops.maximum(inside, 1e-10)), density)
    body = ops.where(v > 0.99, -ops.softplus(lower), body)
    return ops.where(v < -0.999, upper - ops.softplus(upper), body)


def draw(
    parameters,
    uniform,
    mixture_temperature: float = 1.0,
    noise_temperature: float = 1.0,
    dependency: Dependency = "value",
):
    """Draw the leads of each time step.

    A temperature below 1 makes the likelier component likelier, or the noise about the location
    smaller; NVAE's released code divides the noise by its temperature, which does the opposite.

    Parameters
    ----------
    parameters : tensor, shape (batch, time, 33 M)
        Output of the network.
    uniform : tensor, shape (batch, time, M + 8)
        Uniform numbers in [0, 1]: for the choice of the component, then for the leads.
    mixture_temperature, noise_temperature : float
        Positive.
    dependency : {"value", "mean"}
        As in `log_likelihood`.

    Returns
    -------
    tensor, shape (batch, time, 8)
        Leads in [0, 1].
    """
    given = split_parameters(parameters)
    components = given.logits.shape[-1]
    uniform = ops.clip(uniform, SMALLEST_UNIFORM, 1.0 - SMALLEST_UNIFORM)
    gumbel = -ops.log(-ops.log(uniform[..., :components]))
    choice = ops.argmax(given.logits / mixture_temperature + gumbel, axis=-1)
    weights = ops.one_hot(choice, components, dtype=parameters.dtype)
    logistic = uniform[..., components:]
    logistic = noise_temperature * (ops.log(logistic) - ops.log(1.0 - logistic))
    noise = [
        logistic[..., i, None] * ops.exp(_pick(scale, weights))
        for i, scale in enumerate(given.log_scales)
    ]
    return _recursion(given, weights, noise, dependency)


def expected(parameters, dependency: Dependency = "value"):
    """Return the leads without noise, (batch, time, 8) in [0, 1].

    Means and coefficients are averaged with the weights of the components; the leads then follow
    one another as in `draw`.
    """
    given = split_parameters(parameters)
    weights = ops.softmax(given.logits, axis=-1)
    return _recursion(given, weights, [0.0] * len(LEADS), dependency)


def _recursion(given, weights, noise, dependency):
    means = [_pick(mean, weights) for mean in given.means]
    coefficients = [_pick(coefficient, weights) for coefficient in given.coefficients]
    values = []  # grows while the locations, which depend on it, are made
    locations = _locations(means, coefficients, _dependent_on(dependency, means, values))
    for location, deviation in zip(locations, noise, strict=True):
        values.append(ops.clip(location + deviation, -1.0, 1.0))
    return 0.5 * (ops.concatenate(values, axis=-1) + 1.0)


def _pick(parameter, weights):
    return ops.sum(parameter * weights, axis=-1, keepdims=True)
