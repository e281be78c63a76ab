"""The tasks as TensorFlow Datasets builders.

Importing this module registers them, so that `tfds.load("nam_addition")` and
`tfds.load("nam_pathfinder")` work. Nothing is downloaded unless asked for.
"""

import dataclasses
import hashlib
import json
import os

import numpy as np

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_optional_string
from keras_nam.arguments import check_path
from keras_nam.arguments import check_seed
from keras_nam.datasets.algorithms.tasks import TASKS
from keras_nam.datasets.algorithms.tasks import load_task
from keras_nam.datasets.long_range.tasks import LONG_RANGE_TASKS
from keras_nam.datasets.long_range.tasks import load_long_range
from keras_nam.datasets.splits import CORPUS_SPLITS
from keras_nam.datasets.splits import SPLITS
from keras_nam.optional import tfds

__all__ = ["LongRangeConfig", "TaskConfig"]


@dataclasses.dataclass(eq=False, kw_only=True)
class _Config(tfds.core.BuilderConfig):
    """Sizes and seed, which follow the settings of a subclass.

    The name follows from the settings and is part of the folder on disk, so data sets
    of different settings never take each other's place.
    """

    name: str = dataclasses.field(default="", init=False)
    train_examples: int | None = None
    evaluation_examples: int | None = None
    seed: int | None = None
    settings: dict | None = None

    def check_sizes(self, *names):
        for name in (*names, "train_examples", "evaluation_examples"):
            setattr(self, name, check_optional_integer(name, getattr(self, name)))
        if self.seed is not None:
            self.seed = check_seed("seed", self.seed)
        self.settings = _check_settings("settings", self.settings)

    def num_examples(self, split):
        return self.train_examples if split == "train" else self.evaluation_examples


@dataclasses.dataclass(eq=False, kw_only=True)
class TaskConfig(_Config):
    """Lengths, sizes and seed of a task's data set.

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

    digits: int | None = None

    def __post_init__(self):
        self.check_sizes("digits")
        names = "digits", "train_examples", "evaluation_examples", "seed"
        given = {name: getattr(self, name) for name in names}
        parts = [f"{name}_{n}" for name, n in given.items() if n is not None]
        chosen = {}
        for split, settings in self.settings.items():
            check_choice("settings", split, SPLITS)
            settings = _check_settings(f"settings[{split!r}]", settings)
            for name, value in settings.items():
                chosen[f"{split}/{name}"] = _check_setting(name, value)
        if chosen:
            parts.append(f"settings_{_digest(chosen)}")
        name = "-".join(parts)
        # A file system has a limit for names.
        self.name = (name if len(name) < 150 else _digest(name)) or "paper"


@dataclasses.dataclass(eq=False, kw_only=True)
class LongRangeConfig(_Config):
    """Source, length, sizes and seed of a data set of the Long Range Arena.

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

    source: str | None = None
    folder: str | os.PathLike | None = None
    length: int | None = None

    def __post_init__(self):
        self.check_sizes("length")
        check_optional_string("source", self.source)
        if self.folder is not None:
            self.folder = check_path("folder", self.folder)
        names = "source", "folder", "length", "train_examples", "evaluation_examples"
        names = *names, "seed", "settings"
        given = {name: getattr(self, name) for name in names}
        chosen = {name: x for name, x in given.items() if x not in (None, {})}
        if not chosen:
            self.name = "benchmark"
            return
        self.name = f"{self.source or 'benchmark'}-{_digest(chosen)}"


def _check_settings(name, settings):
    settings = {} if settings is None else settings
    if not isinstance(settings, dict) or not all(isinstance(x, str) for x in settings):
        raise ValueError(
            f"Argument `{name}` must be a dictionary by names. "
            f"Received: {name}={settings!r}"
        )
    return settings


def _check_setting(name, value):
    """Returns a setting as what JSON knows; `load_task` checks whether it will do."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, (int, float, str)):
        raise ValueError(
            f"Setting `{name}` must be a number or a string. Received: {name}={value!r}"
        )
    return value


def _digest(settings):
    """A short name: written out, settings could exceed what a folder's may have."""

    def plain(value):
        return value.item() if isinstance(value, np.generic) else str(value)

    text = json.dumps(settings, sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base of the builders; a subclass names its task and draws its rows."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    TASK = None
    SPLITS = None

    def _describe(self, homepage, **shapes):
        """The information on rows of arrays of these shapes."""
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Task '{self.TASK}' of `keras_nam.datasets`.",
            features=tfds.features.FeaturesDict(
                {
                    name: tfds.features.Tensor(
                        shape=shape,
                        dtype=np.float32 if name == "sample_weight" else np.int32,
                    )
                    for name, shape in shapes.items()
                }
            ),
            supervised_keys=tuple(shapes),
            homepage=homepage,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.SPLITS}

    def _generate_examples(self, split):
        columns = self._draw(split, self.builder_config.num_examples(split))
        names = self.info.supervised_keys
        for index, row in enumerate(zip(*columns, strict=True)):
            yield index, dict(zip(names, row, strict=True))

    def _draw(self, split, num_examples):
        raise NotImplementedError


class TaskBuilder(_Builder, skip_registration=True):
    """The rows of an algorithmic task, see `keras_nam.datasets.load_task`."""

    BUILDER_CONFIGS = [TaskConfig()]
    SPLITS = SPLITS

    def __init__(self, *, config=None, **kwargs):
        super().__init__(config=config, **kwargs)
        # No rows, but all the checks, before anything is written to disk.
        for split in SPLITS:
            self._draw(split, 0)

    def _info(self):
        shape = () if self.TASK == "listops" else (None,)
        return self._describe(
            "https://arxiv.org/abs/2302.09422",
            inputs=(None,),
            targets=shape,
            sample_weight=shape,
        )

    def _draw(self, split, num_examples):
        config = self.builder_config
        return load_task(
            self.TASK,
            split,
            num_examples,
            digits=config.digits,
            seed=config.seed or 0,
            **config.settings.get(split, {}),
        )


class LongRangeBuilder(_Builder, skip_registration=True):
    """The rows of a task of `keras_nam.datasets.load_long_range`."""

    BUILDER_CONFIGS = [LongRangeConfig()]
    SPLITS = CORPUS_SPLITS

    def _info(self):
        shape = (2, None) if self.TASK == "matching" else (None,)
        return self._describe(
            "https://arxiv.org/abs/2011.04006", inputs=shape, label=()
        )

    def _draw(self, split, num_examples):
        config = self.builder_config
        return load_long_range(
            self.TASK,
            split,
            config.source,
            config.folder,
            config.length,
            num_examples,
            config.seed or 0,
            **config.settings,
        )


def _make_builders(base, tasks):
    """Makes a builder for each task, as `NamAddition` is, which registers it."""
    for task in tasks:
        name = f"Nam{task.title().replace('_', '')}"
        described = {"TASK": task, "__module__": __name__, "__doc__": base.__doc__}
        globals()[name] = type(name, (base,), described)


_make_builders(TaskBuilder, TASKS)
# The expressions of both are those of `listops`.
_make_builders(LongRangeBuilder, [x for x in LONG_RANGE_TASKS if x not in TASKS])
