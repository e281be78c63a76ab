"""Few-shot heads that compare with the mean of the examples."""

import keras
from keras import ops

from keras_nam.arguments import check_choice
from keras_nam.layers.base_class_attention import BaseClassAttention
from keras_nam.layers.few_shot import FewShotHead
from keras_nam.ops import unit_normalize

GENERATORS = ("mean", "feature_averaging", "attention")


@keras.saving.register_keras_serializable(package="keras_nam")
class CosineClassifier(FewShotHead):
    """A classifier that learns new classes as the means of their examples.

    The score of a class is the cosine between the features and the weights of the
    class. The weights of a novel class are, by `generator`:

    - `"mean"`: the mean of its examples, each of unit length, `m`;
    - `"feature_averaging"`: `d * m`, with a learned scale `d` for every feature;
    - `"attention"`: `d * m + d' * a`, with `a` the mean over the examples of an
      attention over the base classes.

    Nothing of the base classes changes. It is what `NAMClassifier` is compared with,
    and has the same methods and labels.

    Args:
        num_base_classes: Positive integer, the number of classes to train on.
        num_novel_classes: Positive integer, the room for novel classes.
        max_shots: Positive integer, the room for examples of a novel class.
        generator: `"mean"`, `"feature_averaging"` or `"attention"`.
        similarity: `"cosine"` or `"dotproduct"`. With the latter nothing is brought to
            unit length.
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
    head = keras_nam.layers.CosineClassifier(64, num_novel_classes=5)
    head(np.random.normal(size=(8, 128))).shape  # (8, 69)
    head.learn(np.random.normal(size=(3, 128)), np.array([64, 64, 65]))
    head.forget(64)
    ```

    Raises:
        ValueError: If sizes or names of the arguments are wrong, or the shapes or
            labels of a support set do not fit.

    Reference:

    - [Dynamic Few-Shot Visual Learning without Forgetting](
      https://arxiv.org/abs/1804.09458)
    """

    def __init__(
        self,
        num_base_classes,
        num_novel_classes=5,
        max_shots=10,
        generator="mean",
        **kwargs,
    ):
        check_choice("generator", generator, GENERATORS)
        super().__init__(num_base_classes, num_novel_classes, max_shots, **kwargs)
        self.generator = generator

    def build(self, features_shape):
        super().build(features_shape)
        width = features_shape[-1]
        if self.generator != "mean":
            self.mean_scale = self._add("mean_scale", (width,), "ones")
        if self.generator == "attention":
            self.attended_scale = self._add("attended_scale", (width,), "ones")
            self.attention = BaseClassAttention(
                self.num_base_classes, dtype=self.kernel.dtype, name="attention"
            )
            self.attention.build((None, None, width))

    def encoded_shapes(self, features):
        return {"weights": (features,)}

    def encode(self, features, base, base_classes=None):
        if self.generator == "mean":
            return {"weights": features}
        weights = self.mean_scale * features
        if self.generator == "attention":
            if self.similarity == "cosine":
                base = unit_normalize(base)
            attended = self.attention(features, base, base_classes)
            weights = weights + self.attended_scale * attended
        return {"weights": weights}

    def combine(self, base, examples, labels):
        return ops.concatenate([base, class_mean(examples["weights"], labels)], axis=1)

    def get_config(self):
        return {**super().get_config(), "generator": self.generator}


def class_mean(examples, labels):
    """The mean of the examples of each class, zero for a class without examples.

    Args:
        examples: Tensor of shape `(batch, num_examples, features)`.
        labels: Tensor of shape `(batch, num_examples, num_classes)`.

    Returns:
        Tensor of shape `(batch, num_classes, features)`.
    """
    sums = ops.matmul(ops.swapaxes(labels, 1, 2), examples)
    counts = ops.sum(labels, axis=1)[..., None]
    return sums / ops.where(ops.equal(counts, 0), 1.0, counts)
