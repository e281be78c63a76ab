"""The few-shot head whose classes are a memory that is written and erased."""

import keras
from keras import ops

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_choice
from keras_nam.arguments import check_optional_integer
from keras_nam.layers.base_class_attention import BaseClassAttention
from keras_nam.layers.cosine_classifier import class_mean
from keras_nam.layers.few_shot import FewShotHead
from keras_nam.layers.gate_network import GateNetwork
from keras_nam.ops import memory_scan
from keras_nam.ops import memory_write_set
from keras_nam.ops import unit_normalize

ERASURES = ("together", "in_order")


@keras.saving.register_keras_serializable(package="keras_nam")
class NAMClassifier(FewShotHead):
    """A classifier that writes new classes into the memory of its classes.

    The weights of all classes are one memory `M`: its value axis are the classes, its
    key axis the features, so that a read `M u(x)` is the similarity of `x` with every
    class. An example `f` of class `c` is one write under the key `k = u(f)`, with
    gates from two networks,

        M + (p_w onehot(c) - p_e M k) k^T,
        p_w = writer(f),  p_e = eraser(f),

    so that it adds to the weights of its class and takes what looks like it away from
    all others. In the paper that keeps base classes from answering for a novel one;
    docs/few-shot.md did not find it to.

    The weights of the base classes themselves stay as they were trained. A deployed
    head keeps keys and gates of what it was taught, in `num_novel_classes * max_shots`
    slots, and makes the memory from both anew: memory does not grow with teaching, and
    `forget` restores the old answers bit by bit, whatever else was taught before or
    after. What that costs is room for examples that is given in advance; sums per
    class would need the size of the table of base classes for each novel one.

    Args:
        num_base_classes: Positive integer, the number of classes to train on.
        num_novel_classes: Positive integer, the room for novel classes.
        max_shots: Positive integer, the room for examples of a novel class.
        erase: When examples erase. `"together"`: each from the base weights as
            they were trained, so that the order does not matter. `"in_order"`: one
            after the other, in the order of the labels, each from what the ones before
            it left, novel classes included; examples that look alike then do not
            erase more than there is.
        gate_units: Positive integer, the hidden units of writer and eraser. `None`
            means the number of features.
        use_attention: Boolean. Whether an attention over the base classes is added to
            the weights of a novel class, as in `CosineClassifier`.
        similarity: `"cosine"` or `"dotproduct"`. With the latter, neither the features
            nor the rows of the finished memory are brought to unit length; those of the
            base classes are, as they go into it.
        kernel_initializer: Initializer for the weights of the base classes. `None`
            means variance scaling by the number of features.
        kernel_regularizer: Regularizer for the weights of the base classes.

    Call arguments:
        features: Tensor of shape `(..., features)`; with a support set `(batch, time,
            features)`, or `(time, features)` for one episode.
        support_features: Tensor of shape `(batch, num_examples, features)`, or
            `(num_examples, features)` for one episode. `None` means what was taught
            with `learn`.
        support_labels: Integers of shape `(batch, num_examples)` or `(num_examples,)`:
            the index of the score of each class, from the number of base classes on.
            Or one-hot numbers over the novel classes.
        base_classes: Integers of shape `(batch, num)` or `(num,)`, the base classes
            that take part in each episode. `None` means all.

    Returns:
        Scores of shape `(..., num_base_classes + num_novel_classes)`: base classes,
        then novel classes. Classes without examples score so low that they are never
        the answer.

    Example:

    ```python
    head = keras_nam.layers.NAMClassifier(64, num_novel_classes=5)
    features = np.random.normal(size=(8, 128))
    before = head(features)
    head.learn(np.random.normal(size=(5, 128)), np.full(5, 64))
    head(features).shape  # (8, 69)
    head.forget(64)
    np.array_equal(head(features), before)  # True
    ```

    Raises:
        ValueError: If sizes or names of the arguments are wrong, or the shapes or
            labels of a support set do not fit.

    Reference:

    - [Neural Attention Memory](https://arxiv.org/abs/2302.09422)
    """

    def __init__(
        self,
        num_base_classes,
        num_novel_classes=5,
        max_shots=10,
        erase="together",
        gate_units=64,
        use_attention=False,
        **kwargs,
    ):
        check_choice("erase", erase, ERASURES)
        use_attention = check_boolean("use_attention", use_attention)
        if erase == "in_order" and use_attention:
            raise ValueError(
                '`erase="in_order"` writes every example by itself, which '
                "`use_attention=True` does not. Received: use_attention=True"
            )
        gate_units = check_optional_integer("gate_units", gate_units)
        super().__init__(num_base_classes, num_novel_classes, max_shots, **kwargs)
        self.erase = erase
        self.gate_units = gate_units
        self.use_attention = use_attention

    def build(self, features_shape):
        super().build(features_shape)
        width = features_shape[-1]
        self.eraser = self._gate_network(width, "eraser")
        self.writer = self._gate_network(width, "writer")
        if self.use_attention:
            self.mean_scale = self._add("mean_scale", (width,), "ones")
            self.attended_scale = self._add("attended_scale", (width,), "ones")
            self.attention = BaseClassAttention(
                self.num_base_classes, dtype=self.kernel.dtype, name="attention"
            )
            self.attention.build((None, None, width))

    def encoded_shapes(self, features):
        shapes = {"features": (features,), "write_gate": (), "erase_gate": ()}
        if self.use_attention:
            shapes["attended"] = (features,)
        return shapes

    def encode(self, features, base, base_classes=None):
        examples = {
            "features": features,
            "write_gate": self.writer(features),
            "erase_gate": self.eraser(features),
        }
        if self.use_attention:
            if self.similarity == "cosine":
                base = unit_normalize(base)
            attended = self.attention(features, base, base_classes)
            examples["attended"] = self.attended_scale * attended
        return examples

    def base_rows(self, base):
        return unit_normalize(base)

    def combine(self, base, examples, labels):
        num_base, num_novel = base.shape[1], labels.shape[-1]
        memory = ops.pad(base, [[0, 0], [0, num_novel], [0, 0]])
        memory = self.write(
            memory,
            unit_normalize(examples["features"]),
            ops.pad(labels, [[0, 0], [0, 0], [num_base, 0]]),
            examples["write_gate"],
            examples["erase_gate"],
        )
        novel = self.novel_rows(memory[:, num_base:], examples, labels)
        if self.use_attention:
            attended = class_mean(examples["attended"], labels)
            novel = self.mean_scale * novel + attended
        return ops.concatenate([memory[:, :num_base], novel], axis=1)

    def write(self, memory, keys, values, write_gates, erase_gates):
        """Writes examples to a memory of all classes."""
        write = memory_write_set if self.erase == "together" else _write_in_order
        return write(memory, keys, values, write_gates, erase_gates)

    def novel_rows(self, memory, examples, labels):
        """The rows of the novel classes, given those that were written."""
        return memory

    def _gate_network(self, width, name):
        hidden = width if self.gate_units is None else self.gate_units
        network = GateNetwork(hidden, dtype=self.kernel.dtype, name=name)
        network.build((None, None, width))
        return network

    def get_config(self):
        return {
            **super().get_config(),
            "erase": self.erase,
            "gate_units": self.gate_units,
            "use_attention": self.use_attention,
        }

    @classmethod
    def from_config(cls, config):
        # Version 0.1.0 had kinds of gates, of which this is the one that was kept.
        config = dict(config)
        if config.pop("gates", "separate") != "separate":
            raise ValueError(
                "Only the gates of two networks are left of the kinds of 0.1.0. "
                f"Received: the config of {config['name']!r} with other gates"
            )
        return cls(**config)


def _write_in_order(memory, keys, values, write_gates, erase_gates):
    """Writes one example after the other, sorted by class."""
    places = ops.arange(keys.shape[1] or ops.shape(keys)[1])
    classes = ops.cast(ops.argmax(values, axis=-1), "int32")
    order = ops.argsort(classes * ops.size(places) + ops.cast(places, "int32"), axis=1)
    keys, values = (
        ops.take_along_axis(x, order[..., None], axis=1)[:, :, None]
        for x in (keys, values)
    )
    write_gates, erase_gates = (
        ops.take_along_axis(x, order, axis=1)[:, :, None]
        for x in (write_gates, erase_gates)
    )
    _, memory = memory_scan(
        keys, keys, values, write_gates, erase_gates, initial_memory=memory[:, None]
    )
    return memory[:, 0]
