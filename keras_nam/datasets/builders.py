"""The tasks as TensorFlow Datasets builders.

Importing this module registers them, so that `tfds.load("nam_addition")` works, and
those of `long_range_builders` too. Rows are computed, never downloaded.
"""

import dataclasses

import numpy as np

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_integer
from keras_nam.datasets.config_names import settings_digest
from keras_nam.datasets.long_range_builders import LongRangeConfig
from keras_nam.datasets.splits import SPLITS
from keras_nam.datasets.tasks import load_task
from keras_nam.optional import tfds

# The config of the builders that are registered along with those of this module.
__all__ = ["LongRangeConfig", "TaskConfig"]


@dataclasses.dataclass(eq=False, kw_only=True)
class TaskConfig(tfds.core.BuilderConfig):
    """Lengths, sizes and seed of a task's dataset.

    The name follows from the settings and is part of the folder on disk, so datasets of
    different settings never take each other's place.

    Args:
        digits: Positive integer. See `load_task`.
        train_examples: Positive integer. The size of split `"train"`. `None` means
            the size used in the papers.
        evaluation_examples: Positive integer. The size of each of the other splits.
            `None` means the size used in the papers.
        seed: Non-negative integer. `None` means 0.
        settings: Dictionary from a split to a dictionary of further arguments that
            `load_task` takes, for example `{"far": {"max_digits": 80}}`. Splits that
            it does not name keep the settings of the papers.
    """

    name: str = dataclasses.field(default="", init=False)
    digits: int | None = None
    train_examples: int | None = None
    evaluation_examples: int | None = None
    seed: int | None = None
    settings: dict | None = None

    def __post_init__(self):
        parts = []
        for name, at_least in (
            ("digits", 1),
            ("train_examples", 1),
            ("evaluation_examples", 1),
            ("seed", 0),
        ):
            value = getattr(self, name)
            if value is not None:
                parts.append(f"{name}_{check_integer(name, value, at_least)}")
        chosen = {}
        for split, settings in (self.settings or {}).items():
            check_choice("settings", split, SPLITS)
            for name, value in settings.items():
                chosen[f"{split}/{name}"] = _check_setting(name, value)
        if chosen:
            parts.append(f"settings_{settings_digest(chosen)}")
        self.name = "-".join(parts) or "paper"


def _check_setting(name, value):
    """Returns a setting as what JSON knows; `load_task` checks whether it will do."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, (int, float, str)):
        raise ValueError(
            f"Setting `{name}` must be a number or a string. Received: {name}={value!r}"
        )
    return value


class TaskBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base of the builders; a subclass names its task."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [TaskConfig()]

    TASK = None

    def __init__(self, *, config=None, **kwargs):
        super().__init__(config=config, **kwargs)
        # No rows, but all the checks, before anything is written to disk.
        for split in SPLITS:
            self._draw(split, 0)

    def _info(self):
        shape = () if self.TASK == "listops" else (None,)
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Task '{self.TASK}' of the papers on neural attention memory.",
            features=tfds.features.FeaturesDict(
                {
                    "inputs": tfds.features.Tensor(shape=(None,), dtype=np.int32),
                    "targets": tfds.features.Tensor(shape=shape, dtype=np.int32),
                    "sample_weight": tfds.features.Tensor(
                        shape=shape, dtype=np.float32
                    ),
                }
            ),
            supervised_keys=("inputs", "targets", "sample_weight"),
            homepage="https://arxiv.org/abs/2302.09422",
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split):
        config = self.builder_config
        is_training = split == "train"
        columns = self._draw(
            split, config.train_examples if is_training else config.evaluation_examples
        )
        for index, row in enumerate(zip(*columns, strict=True)):
            yield (
                index,
                dict(zip(("inputs", "targets", "sample_weight"), row, strict=True)),
            )

    def _draw(self, split, num_examples):
        config = self.builder_config
        return load_task(
            self.TASK,
            split,
            num_examples,
            digits=config.digits,
            seed=0 if config.seed is None else config.seed,
            **(config.settings or {}).get(split, {}),
        )


class NamAddition(TaskBuilder):
    """See `keras_nam.datasets.addition`."""

    TASK = "addition"


class NamArithmetic(TaskBuilder):
    """See `keras_nam.datasets.arithmetic`."""

    TASK = "arithmetic"


class NamReverse(TaskBuilder):
    """See `keras_nam.datasets.reverse`."""

    TASK = "reverse"


class NamCopy(TaskBuilder):
    """See `keras_nam.datasets.copy`."""

    TASK = "copy"


class NamRepeatedCopy(TaskBuilder):
    """See `keras_nam.datasets.repeated_copy`."""

    TASK = "repeated_copy"


class NamReduction(TaskBuilder):
    """See `keras_nam.datasets.reduction`."""

    TASK = "reduction"


class NamDyck(TaskBuilder):
    """See `keras_nam.datasets.dyck`."""

    TASK = "dyck"


class NamListops(TaskBuilder):
    """See `keras_nam.datasets.listops`."""

    TASK = "listops"


class NamAssociativeRecall(TaskBuilder):
    """See `keras_nam.datasets.associative_recall`."""

    TASK = "associative_recall"
