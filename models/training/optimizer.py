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

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's
_RELATIVE_BETA_2, _RELATIVE_EPSILON = 0.99, 1e-12  # RelativeAdam's; gradients of clipped norm can be tiny
_MOMENTUM = 0.95  # Muon's
_GAIN = 3.4  # spectral norm of Muon's update over the learning rate, so that one rate serves both
_LEAST_CHANNELS = 16  # in and out, of kernels that Muon updates
_ITERATIONS = 5
_POLYNOMIAL = (
    3.4445,
    -4.7750,
    2.0315,
)  # Jordan's: takes singular values in (0, 1] near to 1, small ones fast


class Optimizer:
    """Updates TensorFlow variables in place.

    `moments`: the variables that it keeps between steps.
    """

    def __init__(self, weights: Sequence[Any]) -> None:
        import tensorflow as tf

        self._weights = weights
        self._first, self._second = (
            [tf.Variable(tf.zeros_like(weight), trainable=False) for weight in weights] for _ in range(2)
        )
        self._hidden: dict[tuple[int, ...], list[int]] = {}  # numbers of weights, by shape
        for number, weight in enumerate(weights):
            if len(weight.shape) == 4 and min(weight.shape[2:]) >= _LEAST_CHANNELS:
                self._hidden.setdefault(tuple(weight.shape), []).append(number)

    @property
    def moments(self) -> list[Any]:
        """First moments, then second ones."""
        return [*self._first, *self._second]

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

    def _adam(self, gradient: Any, number: int, rate: Any, step: Any) -> None:
        import tensorflow as tf

        tf.raw_ops.ResourceApplyAdam(
            var=self._weights[number].handle,
            m=self._first[number].handle,
            v=self._second[number].handle,
            grad=gradient,
            lr=rate,
            beta1=_BETA_1,
            beta2=_BETA_2,
            epsilon=_EPSILON,
            beta1_power=tf.pow(_BETA_1, step + 1.0),
            beta2_power=tf.pow(_BETA_2, step + 1.0),
        )


class RelativeAdam:
    """Adam with steps relative to each array's size at the start, for weights of very different sizes.

    A converted network's are: normalization is folded into its kernels. Arrays of zeros stay zero.
    """

    def __init__(self, weights: Sequence[Any]) -> None:
        import tensorflow as tf

        self._weights = weights
        self._sizes = [float(tf.sqrt(tf.reduce_mean(tf.square(weight)))) for weight in weights]
        self._first, self._second = (
            [tf.Variable(tf.zeros_like(weight), trainable=False) for weight in weights] for _ in range(2)
        )

    @property
    def moments(self) -> list[Any]:
        """First moments, then second ones."""
        return [*self._first, *self._second]

    def apply(self, gradients: Sequence[Any], rate: Any, step: Any) -> None:
        """One update, as `Optimizer.apply` makes it."""
        import tensorflow as tf

        each = zip(self._weights, gradients, self._first, self._second, self._sizes, strict=True)
        for weight, gradient, first, second, size in each:
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=first.handle,
                v=second.handle,
                grad=size * gradient,
                lr=size * rate,
                beta1=_BETA_1,
                beta2=_RELATIVE_BETA_2,
                epsilon=_RELATIVE_EPSILON,
                beta1_power=tf.pow(_BETA_1, step + 1.0),
                beta2_power=tf.pow(_RELATIVE_BETA_2, step + 1.0),
            )


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
