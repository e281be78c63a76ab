"""An image classifier that learns classes from a few examples."""

import keras
from keras import ops

from keras_nam.arguments import fits
from keras_nam.backend import require
from keras_nam.layers.few_shot import FewShotHead
from keras_nam.ops.precision import as_tensor


@keras.saving.register_keras_serializable(package="keras_nam")
class FewShotClassifier(keras.Model):
    """A feature extractor with a head that can be taught new classes.

    The model takes what it classifies, or whole episodes. Both can be trained with
    `fit`; `keras_nam.models.fit_few_shot` does it in the usual two stages.

    Args:
        feature_extractor: Model with one input and features of shape `(batch,
            features)`, for example `keras_nam.models.conv_features((28, 28, 1))`.
        head: `keras_nam.layers.NAMClassifier` or `keras_nam.layers.CosineClassifier`.

    Call arguments:
        inputs: What the feature extractor takes; or a dictionary of an episode for
            each row of the batch, as `keras_nam.datasets.episodes` makes it:
            `"images"` of shape `(batch, num_queries, ...)`, `"support_images"` of
            shape `(batch, num_examples, ...)`, `"support_labels"` of shape `(batch,
            num_examples)` and, unless all base classes take part, `"base_classes"` of
            shape `(batch, num_base_classes)`.

    Returns:
        Scores of all classes: `(batch, num_classes)`, or `(batch, num_queries,
        num_classes)`.

    Example:

    ```python
    model = keras_nam.models.FewShotClassifier(
        keras_nam.models.conv_features((28, 28, 1)),
        keras_nam.layers.NAMClassifier(20, num_novel_classes=5),
    )
    images = np.random.uniform(size=(5, 28, 28, 1))
    model.learn(images, np.full(5, 20))
    model.predict(images, verbose=0).shape  # (5, 25)
    model.forget(20)
    ```

    Raises:
        ValueError: If the feature extractor or the head are something else.
    """

    def __init__(self, feature_extractor, head, **kwargs):
        if not isinstance(feature_extractor, keras.Model) or not isinstance(
            getattr(feature_extractor, "input", None), keras.KerasTensor
        ):
            raise ValueError(
                "Argument `feature_extractor` must be a functional model with one "
                f"input. Received: feature_extractor={feature_extractor}"
            )
        if len(feature_extractor.output_shape) != 2:
            raise ValueError(
                "Argument `feature_extractor` must return features of shape (batch, "
                f"features). Received: outputs of shape "
                f"{feature_extractor.output_shape}"
            )
        if not isinstance(head, FewShotHead):
            raise ValueError(
                "Argument `head` must be a NAMClassifier or a CosineClassifier. "
                f"Received: head={head!r}"
            )
        super().__init__(**kwargs)
        self.feature_extractor = feature_extractor
        self.head = head
        self.build(feature_extractor.input_shape)

    def build(self, inputs_shape):
        if not self.head.built:
            self.head.build(self.feature_extractor.output_shape)

    def call(self, inputs, training=None):
        if not isinstance(inputs, dict):
            return self.head(self.extract(inputs, training))
        return self.head(
            self.extract(inputs["images"], training),
            self.extract(inputs["support_images"], training),
            _as_integers(inputs["support_labels"]),
            _as_integers(inputs.get("base_classes")),
        )

    def extract(self, images, training=None):
        """Returns the features of images with any leading axes."""
        item = self.feature_extractor.input_shape[1:]
        images = as_tensor("images", images)
        expected = f"Inputs must have shape (..., {', '.join(map(str, item))})."
        given = tuple(images.shape)
        if len(given) <= len(item) or not fits(given[-len(item) :], item):
            raise ValueError(f"{expected} Received: inputs of shape {given}")
        sizes = ops.convert_to_tensor(ops.shape(images))
        if None in given[-len(item) :]:
            wrong = ops.any(ops.not_equal(sizes[-len(item) :], item))
            images = require(ops.logical_not(wrong), expected, images)
        leading = ops.shape(images)[: -len(item)]
        flat = ops.reshape(images, (-1, *item))
        features = self.feature_extractor(flat, training=training)
        return ops.reshape(features, (*leading, features.shape[-1]))

    def learn(self, images, labels):
        """Teaches novel classes; see the method of the head."""
        self.head.learn(self.extract(images, training=False), labels)

    def forget(self, labels):
        """Removes classes that were taught; see the method of the head."""
        self.head.forget(labels)

    def reset(self):
        """Removes all classes that were taught."""
        self.head.reset()

    def get_config(self):
        return {
            **super().get_config(),
            "feature_extractor": keras.saving.serialize_keras_object(
                self.feature_extractor
            ),
            "head": keras.saving.serialize_keras_object(self.head),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("feature_extractor", "head")
        }
        return cls(**{**config, **parts})


def _as_integers(labels):
    """Labels as integers: where `fit` builds a model on several devices, Keras hands
    it float tensors, whatever the dataset has. One-hot numbers stay as they are."""
    if labels is None or len(labels.shape) != 2:
        return labels
    labels = ops.convert_to_tensor(labels)
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if "int" in dtype:
        return labels
    integers = ops.cast(labels, "int32")
    return require(
        ops.all(ops.equal(ops.cast(integers, labels.dtype), labels)),
        f"Labels must be integers. Received: labels of dtype {dtype}",
        integers,
    )
