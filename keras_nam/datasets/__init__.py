"""Algorithmic tasks, long texts and images, sentences with masks, few-shot images.

What asks for a token in some places of a row comes as `(inputs, targets,
sample_weight)`, with weights of 1 at these places: all of `TASKS` (`listops`, which
asks for one value per row, has a 1 for each row), `masked_language_dataset` and
`packed_language_dataset`. What asks for the class of all rows alike comes as a pair of
inputs and labels.

Drawn rows have the splits of `SPLITS`, all others `"train"`, `"validation"` and
`"test"`.
"""

from keras_nam.datasets.algorithms.associative_recall import associative_recall
from keras_nam.datasets.algorithms.dyck import dyck
from keras_nam.datasets.algorithms.listops import listops
from keras_nam.datasets.algorithms.numbers import addition
from keras_nam.datasets.algorithms.numbers import arithmetic
from keras_nam.datasets.algorithms.queries import encode_question
from keras_nam.datasets.algorithms.queries import query
from keras_nam.datasets.algorithms.reduction import reduction
from keras_nam.datasets.algorithms.strings import copy
from keras_nam.datasets.algorithms.strings import repeated_copy
from keras_nam.datasets.algorithms.strings import reverse
from keras_nam.datasets.algorithms.tasks import TASKS
from keras_nam.datasets.algorithms.tasks import load_task
from keras_nam.datasets.algorithms.texts import decode
from keras_nam.datasets.algorithms.texts import encode
from keras_nam.datasets.algorithms.texts import listops_text
from keras_nam.datasets.algorithms.texts import task_tokenizer
from keras_nam.datasets.few_shot.episodes import episodes
from keras_nam.datasets.few_shot.glyphs import glyphs
from keras_nam.datasets.few_shot.images import digits
from keras_nam.datasets.few_shot.images import load_images
from keras_nam.datasets.few_shot.images import load_mini_imagenet
from keras_nam.datasets.few_shot.images import load_omniglot
from keras_nam.datasets.loading import load
from keras_nam.datasets.long_range.pathfinder import pathfinder
from keras_nam.datasets.long_range.tasks import LONG_RANGE_TASKS
from keras_nam.datasets.long_range.tasks import LongRangeInfo
from keras_nam.datasets.long_range.tasks import load_long_range
from keras_nam.datasets.long_range.tasks import long_range_info
from keras_nam.datasets.splits import SPLITS
from keras_nam.datasets.splits import split_lengths
from keras_nam.datasets.text.generated_sentences import generated_sentences
from keras_nam.datasets.text.length_partition import LengthPartition
from keras_nam.datasets.text.length_partition import partition_by_length
from keras_nam.datasets.text.masked_language import masked_language_dataset
from keras_nam.datasets.text.packed_language import packed_language_dataset
from keras_nam.datasets.text.sentences import load_sentences

__all__ = [
    "LONG_RANGE_TASKS",
    "SPLITS",
    "TASKS",
    "LengthPartition",
    "LongRangeInfo",
    "addition",
    "arithmetic",
    "associative_recall",
    "copy",
    "decode",
    "digits",
    "dyck",
    "encode",
    "encode_question",
    "episodes",
    "generated_sentences",
    "glyphs",
    "listops",
    "listops_text",
    "load",
    "load_images",
    "load_long_range",
    "load_mini_imagenet",
    "load_omniglot",
    "load_sentences",
    "load_task",
    "long_range_info",
    "masked_language_dataset",
    "packed_language_dataset",
    "partition_by_length",
    "pathfinder",
    "query",
    "reduction",
    "repeated_copy",
    "reverse",
    "split_lengths",
    "task_tokenizer",
]
