"""The Long Range Arena: its five tasks, from published and from smaller sources."""

from typing import NamedTuple

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_seed
from keras_nam.datasets.long_range.sources import SOURCES
from keras_nam.datasets.splits import CORPUS_SPLITS


class LongRangeInfo(NamedTuple):
    """What a model has to know of a task.

    Args:
        vocabulary_size: Integer. Tokens are below it.
        num_classes: Integer. Labels are below it.
        padding_token: Integer, `None` where rows are never padded.
        sources: Tuple of strings, the default one first.
    """

    vocabulary_size: int
    num_classes: int
    padding_token: int | None
    sources: tuple


_SIZES = {
    "listops": (16, 10, 0),
    "text": (257, 2, 0),
    "matching": (257, 2, 0),
    "pixels": (256, 10, None),
    "pathfinder": (256, 2, None),
}
LONG_RANGE_TASKS = tuple(_SIZES)


def long_range_info(task):
    """Returns the sizes that a model for a task of `load_long_range` needs.

    Args:
        task: String. One of `LONG_RANGE_TASKS`.

    Returns:
        A named tuple `(vocabulary_size, num_classes, padding_token, sources)`.
        `padding_token` is `None` for images, whose token 0 is black.

    Example:

    ```python
    info = keras_nam.datasets.long_range_info("text")
    info.vocabulary_size  # 257
    info.num_classes  # 2
    info.padding_token  # 0
    ```

    Raises:
        ValueError: If there is no such task.
    """
    check_choice("task", task, LONG_RANGE_TASKS)
    return LongRangeInfo(*_SIZES[task], tuple(SOURCES[task]))


def load_long_range(
    task,
    split="train",
    source=None,
    folder=None,
    length=None,
    num_examples=None,
    seed=0,
    **settings,
):
    """Loads a task of the Long Range Arena as arrays.

    No task needs a download: `"listops"` (see `listops`) and `"pathfinder"` (see
    `pathfinder`) are generated, `"pixels"` has the handwritten digits that come with
    scikit-learn, and the texts have a small source `"generated"` for a first run. The
    others read files that users have in a folder, or a data set of TensorFlow Datasets:

    | task | source | rows |
    |---|---|---|
    | `"listops"` | `"generated"` | expressions and their values |
    | `"text"` | `"imdb"` | film reviews from an `aclImdb` folder, positive or not |
    | | `"imdb_reviews"` | the same through TensorFlow Datasets |
    | | `"reviews"` | sentences of film reviews from a folder, positive or not |
    | | `"spam"` | SpamAssassin mails from a folder, without headers, spam or not |
    | | `"generated"` | made-up reviews with negations, positive or not |
    | `"matching"` | `"aan"` | papers from a folder; does one cite the other? |
    | | `"brown"` | passages of the Brown corpus; are they of one document? |
    | | `"generated"` | made-up tales; are they about the same four people? |
    | `"pixels"` | `"digits"` | 8x8 digits |
    | | `"fashion"` | Fashion-MNIST from a folder, padded to 32x32 |
    | | `"cifar10"` | CIFAR-10 through TensorFlow Datasets, as grey images |
    | `"pathfinder"` | `"generated"` | are two dots joined by a path? |

    Texts are bytes: byte `b` is token `b + 1`, and 0 is padding. Images are their
    intensities 0 to 255, row by row. Where a source has no splits of its own, a hash
    of each text or image decides, so a text that comes twice never falls into two
    splits. For `"brown"`, it decides on whole documents.

    After `import keras_nam.datasets.builders`, the tasks are TensorFlow Datasets as
    well: `tfds.load("nam_pathfinder")`, and `"nam_pixels"`, `"nam_text"` and
    `"nam_matching"`, with the arguments in `builder_kwargs={"config":
    LongRangeConfig(source="spam", folder="mails")}`.

    Args:
        task: String. One of `LONG_RANGE_TASKS`.
        split: String, one of `"train"`, `"validation"`, `"test"`. The validation rows
            of the sources of IMDb are its test rows, as in the benchmark.
        source: String, see above. `None` means the first source of the task, for
            `"pixels"` with a folder `"fashion"`.
        folder: String or path of the folder that holds the files, in it or below. For
            a source in TensorFlow Datasets, its `data_dir`.
        length: Positive integer. Texts are cut and padded to that many tokens. `None`
            means 1000 for `"text"` and `"brown"`, 4000 for `"aan"`, 256 for texts that
            are generated, and all of an
            expression of `"listops"`, which loses its end where it is longer. The
            length of images is their number of pixels; for `"pathfinder"` it sets
            their size, with 1024 as the default.
        num_examples: Non-negative integer. `None` means all rows of the source; where
            they are drawn, the sizes of the benchmark: 96000, 2000 and 2000 for
            `"listops"`, and 160000, 20000 and 20000 for `"pathfinder"`, which takes
            minutes to draw; 16000, 2000 and 2000 for `"brown"`; and 8000, 1000 and
            1000 for generated texts.
        seed: Non-negative integer of any size. It draws rows, or puts them in random
            order.
        **settings: `max_depth`, `max_args`, `min_length` and `max_length` for
            `"listops"`, `num_dashes` and `num_distractors` for `"pathfinder"`, and
            `download=True` to let TensorFlow Datasets download.

    Returns:
        A tuple `(inputs, labels)` of int32 arrays: tokens of shape `(num_examples,
        length)`, for `"matching"` `(num_examples, 2, length)`, and classes of shape
        `(num_examples,)`.

    Example:

    ```python
    inputs, labels = keras_nam.datasets.load_long_range("pathfinder", num_examples=10)
    inputs.shape  # (10, 1024)

    # Expressions that a CPU learns in minutes.
    expressions, values = keras_nam.datasets.load_long_range(
        "listops", num_examples=100, min_length=5, max_length=50, max_depth=4
    )
    expressions.shape  # (100, 50)
    ```

    Raises:
        ValueError: If an argument is out of range, a folder does not hold what the
            source expects, or data would have to be downloaded.
        ImportError: If scikit-learn or TensorFlow Datasets is needed and missing.

    Reference:

    - [Long Range Arena](https://arxiv.org/abs/2011.04006)
    """
    source_name, source = _find_source(task, source, folder)
    check_choice("split", split, CORPUS_SPLITS)
    unknown = sorted(settings.keys() - source.settings)
    if unknown:
        raise ValueError(
            f"Source '{source_name}' of task '{task}' has the settings "
            f"{sorted(source.settings)}. Received: {unknown}"
        )
    length = check_optional_integer("length", length)
    num_examples = check_optional_integer("num_examples", num_examples, at_least=0)
    seed = check_seed("seed", seed)
    if source.takes_folder:
        settings["folder"] = folder
    return source.load(split, length, num_examples, seed, **settings)


def _find_source(task, name, folder):
    check_choice("task", task, LONG_RANGE_TASKS)
    sources = SOURCES[task]
    if name is None:
        name = next(iter(sources))
        if folder is not None and not sources[name].takes_folder:
            name = next((n for n, s in sources.items() if s.expects), name)
    check_choice("source", name, sources)
    source = sources[name]
    if folder is None and source.expects:
        ways = [f"'{n}': {s.expects}" for n, s in sources.items() if s.expects]
        ways += [
            f"'{n}': nothing, it is read by TensorFlow Datasets"
            for n, s in sources.items()
            if s.takes_folder and not s.expects
        ]
        ways += [
            f"'{n}': nothing, and no folder"
            for n, s in sources.items()
            if not s.takes_folder
        ]
        raise ValueError(
            f"Source '{name}' of task '{task}' needs the argument `folder`. What the "
            f"sources expect in it: {'; '.join(ways)}. Received: folder=None"
        )
    if folder is not None and not source.takes_folder:
        raise ValueError(
            f"Source '{name}' of task '{task}' reads no files. "
            f"Received: folder={str(folder)!r}"
        )
    return name, source
