"""Heads that erase in other ways, and all that `few_shot.py` compares."""

import keras
import numpy as np
from keras import ops

import keras_nam


class ErasingBaseClasses(keras_nam.layers.NAMClassifier):
    """A NAM head that says by itself what an example takes from each base class.

    From base class `b` with the row `m`, an example with the key `k` takes
    `g (m . k) e`: its erase gate and how far `b` answers give `g`, and `e`, with
    `e . k = 1`, is `k`, or `C^-1 k` of that length if the head has seen base images
    with the covariance `C`: the change of `m` to which those answer least.
    """

    def build(self, features_shape):
        super().build(features_shape)
        self.whitening = self._add(
            "whitening", (features_shape[-1],) * 2, "identity", trainable=False
        )

    def see(self, features):
        features = np.asarray(ops.nn.normalize(features), "float64")
        covariance = features.T @ features / len(features)
        # Some is added in all directions, as there are few images for many features.
        mean = np.trace(covariance) / len(covariance)
        self.whitening.assign(
            np.linalg.inv(covariance + 0.1 * mean * np.eye(len(covariance)))
        )

    def gates(self, rows, keys, answers, erase_gates):
        return erase_gates[..., None]

    def write(self, memory, keys, values, write_gates, erase_gates):
        novel = values.shape[-1] - memory.shape[1] + self.num_novel_classes
        rows = memory[:, : values.shape[-1] - novel]
        answers = ops.matmul(keys, ops.swapaxes(rows, 1, 2))
        gates = self.gates(rows, keys, answers, erase_gates)
        erasing = ops.matmul(keys, self.whitening)
        length = ops.sum(erasing * keys, axis=-1, keepdims=True)
        # The key of a slot that holds no example is zero.
        erasing = ops.divide_no_nan(erasing, length)
        erased = ops.matmul(ops.swapaxes(gates * answers, 1, 2), erasing)
        written = ops.swapaxes(values * write_gates[..., None], 1, 2)
        memory = memory + ops.matmul(written, keys)
        return ops.concatenate(
            [memory[:, : rows.shape[1]] - erased, memory[:, rows.shape[1] :]], axis=1
        )


class ErasingWhereAnswered(ErasingBaseClasses):
    """Erases from the base classes that answer: gate times their softmax."""

    def gates(self, rows, keys, answers, erase_gates):
        return erase_gates[..., None] * ops.softmax(self.scale * answers)


class ErasingByBoth(ErasingBaseClasses):
    """Erases by a gate that sees example and base class, not the example alone."""

    def build(self, features_shape):
        super().build(features_shape)
        width = features_shape[-1]
        self.of_example, self.of_base, self.of_answer = (
            keras.layers.Dense(self.gate_units, use_bias=i == 0) for i in range(3)
        )
        self.gate = keras.layers.Dense(1, "sigmoid")
        for layer, size in (
            (self.of_example, width),
            (self.of_base, width),
            (self.of_answer, 1),
            (self.gate, self.gate_units),
        ):
            layer.build((None, size))

    def gates(self, rows, keys, answers, erase_gates):
        hidden = (
            self.of_example(keys)[:, :, None]
            + self.of_base(rows)[:, None]
            + self.of_answer(answers[..., None])
        )
        return erase_gates[..., None] * self.gate(ops.relu(hidden))[..., 0]


WHITENED = "whitened keys"
# The same head, trained as before, whose erase gates are closed when it is measured:
# what is left of a difference does not come from erasing.
CLOSED = "then closed"
HEADS = {
    "NAM": (keras_nam.layers.NAMClassifier, {}),
    "NAM, in order": (keras_nam.layers.NAMClassifier, {"erase": "in_order"}),
    f"NAM, {WHITENED}": (ErasingBaseClasses, {}),
    "NAM, erase where answered": (ErasingWhereAnswered, {}),
    f"NAM, where answered, {WHITENED}": (ErasingWhereAnswered, {}),
    f"NAM, where answered, {WHITENED}, {CLOSED}": (ErasingWhereAnswered, {}),
    "NAM, gates see both": (ErasingByBoth, {}),
    "cosine": (keras_nam.layers.CosineClassifier, {}),
    "cosine, averaging": (
        keras_nam.layers.CosineClassifier,
        {"generator": "feature_averaging"},
    ),
    "cosine, attention": (
        keras_nam.layers.CosineClassifier,
        {"generator": "attention"},
    ),
}


def fix_gate(network, value):
    """Makes a gate say the same for every example."""
    for weight in network.weights:
        weight.assign(ops.zeros_like(weight))
    value = min(max(value, 1e-6), 1 - 1e-6)
    network.bias.assign([np.log(value / (1 - value))])


def build_constant(head, base, gate):
    """A NAM head that writes everything and erases by a gate that is never trained."""
    head.build(base.head.kernel.shape)
    head.kernel.assign(base.head.kernel)
    fix_gate(head.writer, 1.0)
    fix_gate(head.eraser, gate)
    return head
