"""The training step of a generator against a critic, on every backend.

Two optimisers and a gradient inside the loss don't fit Keras's own ``train_step``. What depends on
the backend is here, so that a model writes its two losses with ``keras.ops`` and nothing else.
"""

import keras

BACKEND = keras.backend.backend()

if BACKEND == "tensorflow":
    import tensorflow as tf

    class _Step(keras.Model):
        def train_step(self, data):
            x = keras.utils.unpack_x_y_sample_weight(data)[0]
            turn = self._count_step()
            critic = self._update(self.critic_terms, self.critic, self.optimizer, x)
            generator = tf.cond(
                turn,
                lambda: self._update(
                    self.generator_terms, self.generator, self.generator_optimizer, x
                ),
                lambda: {name: tf.zeros(()) for name in self.generator_terms_names},
            )
            return self._track(critic, generator, turn)

        def _update(self, terms, network, optimizer, x):
            with tf.GradientTape() as tape:
                values = terms(x)
            weights = network.trainable_weights
            loss = next(iter(values.values()))
            optimizer.apply(tape.gradient(loss, weights), weights)
            return values

elif BACKEND == "torch":
    import torch

    class _Step(keras.Model):
        def train_step(self, data):
            x = keras.utils.unpack_x_y_sample_weight(data)[0]
            turn = bool(self._count_step())
            critic = self._update(self.critic_terms, self.critic, self.optimizer, x)
            generator = {name: torch.zeros(()) for name in self.generator_terms_names}
            if turn:
                generator = self._update(
                    self.generator_terms, self.generator, self.generator_optimizer, x
                )
            return self._track(critic, generator, keras.ops.convert_to_tensor(turn))

        def _update(self, terms, network, optimizer, x):
            values = terms(x)
            weights = network.trainable_weights
            loss = next(iter(values.values()))
            gradients = torch.autograd.grad(loss, [weight.value for weight in weights])
            with torch.no_grad():
                optimizer.apply(gradients, weights)
            return {name: value.detach() for name, value in values.items()}

else:
    import jax

    class _Step(keras.Model):
        def train_step(self, state, data):
            x = keras.utils.unpack_x_y_sample_weight(data)[0]
            variables = self._all_variables()
            values = [value for part in state for value in part]
            turn, values = self._with(variables, values, self._count_step)
            critic, values = self._update(self.critic_terms, self.critic, self.optimizer, x, values)
            generator, values = jax.lax.cond(
                turn,
                lambda values: self._update(
                    self.generator_terms, self.generator, self.generator_optimizer, x, values
                ),
                lambda values: (
                    {name: jax.numpy.zeros(()) for name in self.generator_terms_names},
                    values,
                ),
                values,
            )
            logs, values = self._with(
                variables, values, lambda: self._track(critic, generator, turn)
            )
            parts = []
            for part in state:
                parts.append(values[: len(part)])
                values = values[len(part) :]
            return logs, tuple(parts)

        def _all_variables(self):
            return [
                *self.trainable_variables,
                *self.non_trainable_variables,
                *self.optimizer.variables,
                *self.metrics_variables,
            ]

        @staticmethod
        def _with(variables, values, function):
            """Call a function while the variables have these values; return what they are then."""
            with keras.StatelessScope(list(zip(variables, values, strict=True))) as scope:
                result = function()
            return result, [scope.get_current_value(variable) for variable in variables]

        def _update(self, terms, network, optimizer, x, values):
            variables, weights = self._all_variables(), network.trainable_weights
            place = {id(variable): i for i, variable in enumerate(variables)}
            own = [place[id(weight)] for weight in weights]

            def loss(trained):
                now = list(values)
                for i, value in zip(own, trained, strict=True):
                    now[i] = value
                found, now = self._with(variables, now, lambda: terms(x))
                return next(iter(found.values())), (found, now)

            gradients, (found, values) = jax.grad(loss, has_aux=True)([values[i] for i in own])
            _, values = self._with(variables, values, lambda: optimizer.apply(gradients, weights))
            return found, values


class AdversarialModel(_Step):
    """Base of the models in which a generator learns from a critic.

    A subclass makes ``self.generator`` and ``self.critic``, models that are built, and defines
    :meth:`critic_terms` and :meth:`generator_terms`. The critic is updated at every batch, the
    generator at every `critic_steps`-th.

    Parameters
    ----------
    critic_steps : int
        Steps of the critic for one of the generator.
    """

    critic_terms_names: tuple[str, ...] = ("critic_loss",)
    generator_terms_names: tuple[str, ...] = ("generator_loss",)

    def __init__(self, *, critic_steps: int = 5, **kwargs):
        super().__init__(**kwargs)
        if critic_steps < 1:
            raise ValueError(f"critic_steps must be at least 1, got {critic_steps}")
        self.critic_steps = critic_steps
        self.generator_optimizer = None
        self.step = self.add_weight(
            name="step", shape=(), dtype="int32", initializer="zeros", trainable=False
        )
        names = self.critic_terms_names + self.generator_terms_names
        self.trackers = {name: keras.metrics.Mean(name=name) for name in names}

    def critic_terms(self, x) -> dict:
        """Return the critic's loss, first, and whatever else is to be tracked; scalars."""
        raise NotImplementedError(f"{type(self).__name__} does not define critic_terms")

    def generator_terms(self, x) -> dict:
        """Return the generator's loss, first, and whatever else is to be tracked; scalars."""
        raise NotImplementedError(f"{type(self).__name__} does not define generator_terms")

    def compile(self, optimizer, generator_optimizer, **kwargs):
        """Configure training.

        Parameters
        ----------
        optimizer, generator_optimizer : keras.optimizers.Optimizer
            The critic's and the generator's.
        **kwargs
            ``run_eagerly``, ``jit_compile`` and others of ``keras.Model.compile``.
        """
        super().compile(optimizer, auto_scale_loss=False, **kwargs)
        self.generator_optimizer = keras.optimizers.get(generator_optimizer)
        self.optimizer.build(self.critic.trainable_variables)
        self.generator_optimizer.build(self.generator.trainable_variables)

    def get_compile_config(self):
        """Return what `compile_from_config` takes."""
        return {
            "optimizer": keras.optimizers.serialize(self.optimizer),
            "generator_optimizer": keras.optimizers.serialize(self.generator_optimizer),
        }

    def compile_from_config(self, config):
        """Configure training as it was when the model was saved."""
        self.compile(**{k: keras.optimizers.deserialize(v) for k, v in config.items()})

    @property
    def non_trainable_variables(self):
        """Those of the layers and the generator's optimiser, which Keras knows nothing of."""
        own = super().non_trainable_variables
        optimizer = self.generator_optimizer
        return own if optimizer is None else own + optimizer.variables

    def compute_loss(self, *args, **kwargs):
        """Refuse: there is no such loss."""
        raise ValueError(
            "a generator and its critic have no loss to validate or evaluate: leave validation "
            "data out, and judge the ECGs that the model generates"
        )

    def _count_step(self):
        """Count a step; return whether it is the generator's turn."""
        self.step.assign_add(1)
        return keras.ops.equal(keras.ops.mod(self.step, self.critic_steps), 0)

    def _track(self, critic, generator, turn):
        for name, value in critic.items():
            self.trackers[name].update_state(value)
        for name, value in generator.items():
            self.trackers[name].update_state(value, sample_weight=keras.ops.cast(turn, "float32"))
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def get_config(self):
        """Return the constructor's arguments."""
        return super().get_config() | {"critic_steps": self.critic_steps}
