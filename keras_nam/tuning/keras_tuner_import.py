"""Keras Tuner, or what to install to have it."""

try:
    import keras_tuner
except ImportError as error:
    raise ImportError(
        "Searching for hyperparameters needs Keras Tuner and TensorBoard, an optional "
        'extra. Install it with `pip install "keras-nam[tuner]"`. '
        f"What was missing: {error}"
    ) from error

__all__ = ["keras_tuner"]
