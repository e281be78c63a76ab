"""The tasks through TensorFlow Datasets, which is imported on the first use."""

from keras_nam.arguments import check_choice
from keras_nam.datasets.algorithms.tasks import find_task
from keras_nam.datasets.splits import SPLITS
from keras_nam.optional import tfds


def load(
    task,
    split=None,
    digits=None,
    train_examples=None,
    evaluation_examples=None,
    seed=None,
    settings=None,
    **kwargs,
):
    """Loads a task as a `tf.data.Dataset` with TensorFlow Datasets.

    The first call computes the rows and stores them on disk, in a folder of their own
    for every combination of task, lengths, sizes and seed; later calls read them.
    Nothing is downloaded. `load_task` tells which lengths the splits have.

    After `import keras_nam.datasets.builders`, `tfds.load("nam_addition")` does the
    same; settings go to `builder_kwargs={"config": TaskConfig(digits=5)}`.

    Args:
        task: String. One of `TASKS`.
        split: What `tfds.load` takes: `"train"`, `"id"`, `"ood"`, `"far"`, a slice as
            in `"train[:10%]"`, or a list of such. `None` means all, in a dictionary.
        digits: Positive integer. The largest number of digits to train on. `None`
            means 10. Must be `None` for `"dyck"`, `"listops"` and
            `"associative_recall"`.
        train_examples: Positive integer. The size of split `"train"`. `None` means
            the size used in the papers.
        evaluation_examples: Positive integer. The size of each of the other splits.
            `None` means the size used in the papers.
        seed: Non-negative integer of any size. `None` means 0.
        settings: Dictionary from a split to a dictionary of further arguments that
            `load_task` takes, for example `{"far": {"max_digits": 80}}`.
        **kwargs: Further arguments of `tfds.load`, like `data_dir`, `batch_size`,
            `as_supervised` or `with_info`.

    Returns:
        A dataset of dictionaries of `"inputs"`, `"targets"` and `"sample_weight"`, or
        with `as_supervised=True` of such tuples, ready for `model.fit`; otherwise
        what `tfds.load` returns.

    Example:

    ```python
    dataset = keras_nam.datasets.load(
        "addition",
        split="train",
        digits=5,
        train_examples=1000,
        evaluation_examples=100,
        batch_size=100,
        as_supervised=True,
    )
    for inputs, targets, sample_weight in dataset:
        inputs.shape  # (100, 24)
    ```

    Raises:
        ImportError: If TensorFlow Datasets is not installed.
        ValueError: If there is no such task, or a number is out of range.
    """
    find_task(task)
    wanted = split if isinstance(split, (list, tuple)) else [split]
    wanted = ["all"] if split is None else wanted
    kinds = str, tfds.core.ReadInstruction
    if not wanted or not all(isinstance(one, kinds) for one in wanted):
        raise ValueError(
            "Argument `split` must be a string, or a list of strings. "
            f"Received: split={split!r}"
        )
    for one in wanted:
        for name in one.split("+") if isinstance(one, str) else ():
            check_choice("split", name.partition("[")[0].strip(), (*SPLITS, "all"))
    # This import would make TensorFlow Datasets a requirement of the whole package.
    from keras_nam.datasets import builders

    config = builders.TaskConfig(
        digits=digits,
        train_examples=train_examples,
        evaluation_examples=evaluation_examples,
        seed=seed,
        settings=settings,
    )
    builder_kwargs = {"config": config, **(kwargs.pop("builder_kwargs", None) or {})}
    return builders.tfds.load(
        f"nam_{task}", split=split, builder_kwargs=builder_kwargs, **kwargs
    )
