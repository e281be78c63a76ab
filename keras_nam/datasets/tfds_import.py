"""TensorFlow Datasets, or what to install to have it."""

try:
    import tensorflow_datasets as tfds
except ImportError as error:
    raise ImportError(
        "The dataset builders need TensorFlow Datasets, an optional extra. Install it "
        "with `pip install keras_nam[datasets]`. The functions of "
        "`keras_nam.datasets` that return arrays work without it."
    ) from error

__all__ = ["tfds"]
