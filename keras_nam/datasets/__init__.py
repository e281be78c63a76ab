"""Algorithmic tasks, long texts and images, sentences with masks, few-shot images."""

from keras_nam.datasets.brackets import dyck
from keras_nam.datasets.dashed_paths import pathfinder
from keras_nam.datasets.episodes import episodes
from keras_nam.datasets.expressions import listops
from keras_nam.datasets.expressions import listops_text
from keras_nam.datasets.generated_sentences import generated_sentences
from keras_nam.datasets.glyphs import glyphs
from keras_nam.datasets.images import digits
from keras_nam.datasets.images import load_images
from keras_nam.datasets.images import load_mini_imagenet
from keras_nam.datasets.images import load_omniglot
from keras_nam.datasets.length_partition import LengthPartition
from keras_nam.datasets.length_partition import partition_by_length
from keras_nam.datasets.loading import load
from keras_nam.datasets.long_range import LONG_RANGE_TASKS
from keras_nam.datasets.long_range import LongRangeInfo
from keras_nam.datasets.long_range import load_long_range
from keras_nam.datasets.long_range import long_range_info
from keras_nam.datasets.masked_language import masked_language_dataset
from keras_nam.datasets.numbers import addition
from keras_nam.datasets.numbers import arithmetic
from keras_nam.datasets.queries import encode_question
from keras_nam.datasets.queries import query
from keras_nam.datasets.recall import associative_recall
from keras_nam.datasets.reductions import reduction
from keras_nam.datasets.sentences import load_sentences
from keras_nam.datasets.splits import SPLITS
from keras_nam.datasets.splits import split_lengths
from keras_nam.datasets.strings import copy
from keras_nam.datasets.strings import repeated_copy
from keras_nam.datasets.strings import reverse
from keras_nam.datasets.tasks import TASKS
from keras_nam.datasets.tasks import decode
from keras_nam.datasets.tasks import encode
from keras_nam.datasets.tasks import load_task
from keras_nam.datasets.text_codecs import TextCodec
from keras_nam.datasets.text_codecs import text_codec

__all__ = [
    "LONG_RANGE_TASKS",
    "SPLITS",
    "TASKS",
    "LengthPartition",
    "LongRangeInfo",
    "TextCodec",
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
    "partition_by_length",
    "pathfinder",
    "query",
    "reduction",
    "repeated_copy",
    "reverse",
    "split_lengths",
    "text_codec",
]
