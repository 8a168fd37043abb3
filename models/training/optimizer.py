"""Muon for the kernels between hidden features, Adam for everything else.

Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks") makes the singular
values of a kernel's update about equal, so that directions with small gradients are learned as well. Adam:
Kingma and Ba 2015.

The orthogonalization works on the Gram matrix G'G, (outputs, outputs): as exact in float32 as on G itself, at
half the cost for kernels that have many more inputs than outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_BETA_1 = 0.9  # Adam's
_MOMENTUM = 0.95  # Muon's
_GAIN = 3.4  # spectral norm of Muon's update over the learning rate, so that one rate serves both
_LEAST_CHANNELS = 16  # in and out, of kernels that Muon updates
_ITERATIONS = 5
_POLYNOMIAL = (
    3.4445,
    -4.7750,
    2.0315,
)  # Jordan's: takes singular values in (0, 1] near to 1, small ones fast


class _Adam:
    """Keeps two moments of each weight, and updates one weight by them.

    `moments`: the variables that it keeps between steps.
    """

    beta_2 = 0.999
    epsilon = 1e-8

    def __init__(self, weights: Sequence[Any]) -> None:
        import tensorflow as tf

        self._weights = weights
        self._first, self._second = (
            [tf.Variable(tf.zeros_like(weight), trainable=False) for weight in weights] for _ in range(2)
        )

    @property
    def moments(self) -> list[Any]:
        """First moments, then second ones."""
        return [*self._first, *self._second]

    def _adam(self, gradient: Any, number: int, rate: Any, step: Any) -> None:
        import tensorflow as tf

        tf.raw_ops.ResourceApplyAdam(
            var=self._weights[number].handle,
            m=self._first[number].handle,
            v=self._second[number].handle,
            grad=gradient,
            lr=rate,
            beta1=_BETA_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            beta1_power=tf.pow(_BETA_1, step + 1.0),
            beta2_power=tf.pow(self.beta_2, step + 1.0),
        )


class Optimizer(_Adam):
    """Updates TensorFlow variables in place: hidden kernels by Muon, the others by Adam."""

    def __init__(self, weights: Sequence[Any]) -> None:
        super().__init__(weights)
        self._hidden: dict[tuple[int, ...], list[int]] = {}  # numbers of weights, by shape
        for number, weight in enumerate(weights):
            if len(weight.shape) == 4 and min(weight.shape[2:]) >= _LEAST_CHANNELS:
                self._hidden.setdefault(tuple(weight.shape), []).append(number)

    def apply(self, gradients: Sequence[Any], rate: Any, step: Any) -> None:
        """One update.

        Args:
          gradients: one for each weight.
          rate: learning rate, a float32 scalar.
          step: updates before this one, a float32 scalar.
        """
        for numbers in self._hidden.values():
            self._muon(gradients, numbers, rate)
        hidden = {number for numbers in self._hidden.values() for number in numbers}
        for number in range(len(self._weights)):
            if number not in hidden:
                self._adam(gradients[number], number, rate, step)

    def _muon(self, gradients: Sequence[Any], numbers: Sequence[int], rate: Any) -> None:
        """Updates kernels of one shape together."""
        import tensorflow as tf

        shape = self._weights[numbers[0]].shape
        outputs = int(shape[-1])
        momenta = []
        for number in numbers:
            first, gradient = self._first[number], (1 - _MOMENTUM) * gradients[number]
            first.assign(_MOMENTUM * first + gradient)
            momenta.append(tf.reshape(_MOMENTUM * first + gradient, (-1, outputs)))  # Nesterov's
        updates = _GAIN * rate * orthogonalized(tf.stack(momenta))
        for number, update in zip(numbers, tf.unstack(updates), strict=True):
            self._weights[number].assign_sub(tf.reshape(update, shape))


class RelativeAdam(_Adam):
    """Adam with steps relative to each array's size at the start, for weights of very different sizes.

    A converted network's are: normalization is folded into its kernels. Arrays of zeros stay zero.
    """

    beta_2 = 0.99
    epsilon = 1e-12  # gradients of clipped norm can be tiny

    def __init__(self, weights: Sequence[Any]) -> None:
        import tensorflow as tf

        super().__init__(weights)
        self._sizes = [float(tf.sqrt(tf.reduce_mean(tf.square(weight)))) for weight in weights]

    def apply(self, gradients: Sequence[Any], rate: Any, step: Any) -> None:
        """One update, as `Optimizer.apply` makes it."""
        for number, (gradient, size) in enumerate(zip(gradients, self._sizes, strict=True)):
            self._adam(size * gradient, number, size * rate, step)


def orthogonalized(matrices: Any) -> Any:
    """Matrices (n, rows, columns) with the same singular vectors and singular values near 1.

    Values below some thousandth of the largest stay smaller. Newton-Schulz iterations X p(X'X), all but the
    last product in terms of the Gram matrix.
    """
    import tensorflow as tf

    gram = tf.matmul(matrices, matrices, transpose_a=True)
    square_norm = tf.linalg.trace(gram)[:, None, None] + 1e-30
    gram /= square_norm
    identity = tf.eye(gram.shape[-1])
    linear, cubic, quintic = _POLYNOMIAL
    product = identity * tf.math.rsqrt(square_norm)
    for _ in range(_ITERATIONS):
        factor = linear * identity + cubic * gram + quintic * tf.matmul(gram, gram)
        product = tf.matmul(product, factor)
        gram = tf.matmul(tf.matmul(gram, factor), factor)
    return tf.matmul(matrices, product)
