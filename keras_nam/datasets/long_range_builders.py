"""The Long Range Arena as TensorFlow Datasets builders.

Importing `keras_nam.datasets.builders` registers them, so that
`tfds.load("nam_pathfinder")` works.
"""

import dataclasses
import os

import numpy as np

from keras_nam.arguments import check_integer
from keras_nam.datasets.config_names import settings_digest
from keras_nam.datasets.held_out import LONG_RANGE_SPLITS
from keras_nam.datasets.long_range import load_long_range
from keras_nam.optional import tfds

_SETTINGS = (
    "source",
    "folder",
    "length",
    "train_examples",
    "evaluation_examples",
    "seed",
    "settings",
)


@dataclasses.dataclass(eq=False, kw_only=True)
class LongRangeConfig(tfds.core.BuilderConfig):
    """Source, length, sizes and seed of a data set of the Long Range Arena.

    The name follows from them and is part of the folder on disk, so data sets of
    different settings never take each other's place.

    Args:
        source: String. See `load_long_range`, as for the other arguments.
        folder: String or path.
        length: Positive integer.
        train_examples: Positive integer. The size of split `"train"`. `None` means all
            rows, or the size of the benchmark.
        evaluation_examples: Positive integer. The size of `"validation"` and `"test"`.
        seed: Non-negative integer. `None` means 0.
        settings: Dictionary of the further settings of the source.
    """

    name: str = dataclasses.field(default="", init=False)
    source: str | None = None
    folder: str | os.PathLike | None = None
    length: int | None = None
    train_examples: int | None = None
    evaluation_examples: int | None = None
    seed: int | None = None
    settings: dict | None = None

    def __post_init__(self):
        for name, at_least in (
            ("length", 1),
            ("train_examples", 1),
            ("evaluation_examples", 1),
            ("seed", 0),
        ):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, check_integer(name, value, at_least))
        chosen = {
            name: getattr(self, name)
            for name in _SETTINGS
            if getattr(self, name) not in (None, {})
        }
        if not chosen:
            self.name = "benchmark"
            return
        self.name = f"{self.source or 'benchmark'}-{settings_digest(chosen)}"


class LongRangeBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base of the builders; a subclass names its task."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [LongRangeConfig()]

    TASK = None

    def _info(self):
        shape = (2, None) if self.TASK == "matching" else (None,)
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Task '{self.TASK}' in the manner of the Long Range Arena.",
            features=tfds.features.FeaturesDict(
                {
                    "inputs": tfds.features.Tensor(shape=shape, dtype=np.int32),
                    "label": tfds.features.Tensor(shape=(), dtype=np.int32),
                }
            ),
            supervised_keys=("inputs", "label"),
            homepage="https://arxiv.org/abs/2011.04006",
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in LONG_RANGE_SPLITS}

    def _generate_examples(self, split):
        config = self.builder_config
        is_training = split == "train"
        columns = load_long_range(
            self.TASK,
            split,
            config.source,
            config.folder,
            config.length,
            config.train_examples if is_training else config.evaluation_examples,
            0 if config.seed is None else config.seed,
            **(config.settings or {}),
        )
        for index, (inputs, label) in enumerate(zip(*columns, strict=True)):
            yield index, {"inputs": inputs, "label": label}


class NamPixels(LongRangeBuilder):
    """See `keras_nam.datasets.load_long_range`."""

    TASK = "pixels"


class NamPathfinder(LongRangeBuilder):
    """See `keras_nam.datasets.load_long_range`."""

    TASK = "pathfinder"


class NamText(LongRangeBuilder):
    """See `keras_nam.datasets.load_long_range`."""

    TASK = "text"


class NamMatching(LongRangeBuilder):
    """See `keras_nam.datasets.load_long_range`."""

    TASK = "matching"
