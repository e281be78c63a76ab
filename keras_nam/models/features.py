"""Convolutional networks that turn small images into features."""

import numbers

import keras
from keras import layers

from keras_nam.arguments import check_integer
from keras_nam.arguments import check_list
from keras_nam.arguments import check_rate


def conv_features(
    input_shape, filters=(64, 64, 128, 128), num_pools=4, name="conv_features"
):
    """The plain convolutional network of few-shot learning.

    Blocks of a 3x3 convolution, batch normalization, a ReLU and, in the first
    `num_pools` blocks, a 2x2 max pooling. The last block has no ReLU, because a cosine
    classifier can use both signs. With the default filters, 84x84 images give 3,200
    features.

    Args:
        input_shape: Tuple `(height, width, channels)`.
        filters: Integers, the filters of the blocks; `(32, 32, 32, 32)` and `(64, 64,
            64, 64)` are usual as well.
        num_pools: Non-negative integer, the number of blocks that halve height and
            width.
        name: String. The name of the model.

    Returns:
        A functional model from `(batch, height, width, channels)` to `(batch,
        features)`.

    Example:

    ```python
    keras_nam.models.conv_features((84, 84, 3)).output_shape  # (None, 3200)
    ```

    Raises:
        ValueError: If images are too small for the poolings.
    """
    num_pools = check_integer("num_pools", num_pools, at_least=0)
    input_shape = check_image_shape(input_shape, "input_shape", num_pools)
    filters = _check_filters(filters)
    inputs = x = keras.Input(input_shape)
    for i, size in enumerate(filters):
        x = layers.Conv2D(size, 3, padding="same", use_bias=False, name=f"conv_{i}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{i}")(x)
        if i < len(filters) - 1:
            x = layers.ReLU(name=f"relu_{i}")(x)
        if i < num_pools:
            x = layers.MaxPooling2D(2, name=f"pool_{i}")(x)
    return keras.Model(inputs, layers.Flatten(name="features")(x), name=name)


def residual_features(
    input_shape, filters=(64, 128, 256, 512), dropout=0.1, name="residual_features"
):
    """A residual network for few-shot learning.

    Every block has three 3x3 convolutions with batch normalization, a residual
    connection, a 2x2 max pooling and dropout; features are the mean over all places.
    With the default filters there are 512 of them.

    Args:
        input_shape: Tuple `(height, width, channels)`.
        filters: Integers, the filters of the blocks.
        dropout: Number from 0 to below 1.
        name: String. The name of the model.

    Returns:
        A functional model from `(batch, height, width, channels)` to `(batch,
        filters[-1])`.

    Example:

    ```python
    keras_nam.models.residual_features((84, 84, 3)).output_shape  # (None, 512)
    ```

    Raises:
        ValueError: If images are too small for the poolings.
    """
    filters = _check_filters(filters)
    input_shape = check_image_shape(input_shape, "input_shape", len(filters))
    dropout = check_rate("dropout", dropout)
    inputs = x = keras.Input(input_shape)
    for i, size in enumerate(filters):
        shortcut = layers.Conv2D(size, 1, use_bias=False, name=f"shortcut_{i}")(x)
        shortcut = layers.BatchNormalization(name=f"shortcut_norm_{i}")(shortcut)
        for j in range(3):
            x = layers.Conv2D(
                size, 3, padding="same", use_bias=False, name=f"conv_{i}_{j}"
            )(x)
            x = layers.BatchNormalization(name=f"norm_{i}_{j}")(x)
            if j < 2:
                x = layers.ReLU(name=f"relu_{i}_{j}")(x)
        x = layers.Add(name=f"add_{i}")([x, shortcut])
        if i < len(filters) - 1:
            x = layers.ReLU(name=f"relu_{i}")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{i}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{i}")(x)
    features = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(inputs, features, name=name)


def check_image_shape(image_shape, name="image_shape", num_pools=0):
    """Returns the shape of images that can be halved so often, or explains."""
    sizes = image_shape if isinstance(image_shape, (list, tuple)) else ()
    if len(sizes) != 3:
        raise ValueError(
            f"Argument `{name}` must be (height, width, channels). "
            f"Received: {name}={image_shape!r}"
        )
    sizes = tuple(check_integer(name, size) for size in sizes)
    if min(sizes[:2]) < 2**num_pools:
        raise ValueError(
            f"Argument `{name}` must be (height, width, channels), with height "
            "and width that can be halved `num_pools` times. "
            f"Received: {name}={image_shape!r}, num_pools={num_pools}"
        )
    return sizes


def _check_filters(filters):
    filters = check_list(
        "filters", filters, numbers.Integral, "a list of positive integers", at_least=1
    )
    return [check_integer("filters", size) for size in filters]
