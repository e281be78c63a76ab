"""How machines with a memory learn the algorithmic tasks.

All but two are NAM-TMs. Which value belongs to a key of `"associative_recall"` is due
at the very step that shows the key, and a head that jumps there arrives one step later:
there it is a `NAM`. The value of an operator of `"listops"` depends on what was read
before, which the controller of a NAM-TM does not see: there it is an `LSAM`.
"""

from typing import NamedTuple

import keras
import numpy as np

from keras_nam.datasets.algorithms.tasks import load_task
from keras_nam.layers.nam import NAM
from keras_nam.models.lsam import lsam_tagger
from keras_nam.models.namtm import namtm_tagger
from keras_nam.models.token_tagger import token_tagger

BATCH_SIZE = 128
# Tokens of an expression of `"listops"`, shortest and longest.
EXPRESSION_LENGTHS = {
    "train": (4, 30),
    "id": (15, 30),
    "ood": (31, 48),
    "far": (49, 66),
}


class Stage(NamedTuple):
    """A part of a training run.

    Attributes:
        share: Float, the share of the steps.
        short_first: Float, the share of the stage in which the longest rows wait their
            turn, while short ones stay. 0 mixes all lengths.
        rows: Dictionary, what `load_task` takes for its rows, which may be those of
            another task.
    """

    share: float = 1.0
    short_first: float = 1.0
    rows: dict = {}


class Recipe(NamedTuple):
    """The settings of a training run, on batches of `BATCH_SIZE` rows.

    Attributes:
        steps: Integer, the number of batches.
        learning_rate: Float, at the first step; it falls by 2 % every 400 steps.
        cosine: Boolean. Whether it falls to zero along a cosine instead.
        clip: Float, the largest norm of all gradients together.
        l2: Float, what share of each weight is added to its gradient.
        sharpen: Float, the factor of `SharpenHeads`, over four fifths of the steps. 1
            leaves the heads as they are.
        controller: Tuple of numbers, the factors of `sharpen_controller` that are tried
            after training.
        heads: Tuple of numbers, the factors of `with_sharpness` that are tried then.
        starts: Integer, how many machines are trained at most, from other weights and
            on other rows each, while more than one row in 200 of those to choose on is
            wrong. What a machine finds first is a matter of chance.
        chosen_on: Dictionary, what `load_task` takes for the rows on which starts and
            factors are chosen, other than for those of the split `"ood"`.
        stages: Tuple of `Stage`, one after the other.
        loss_on_answer: Boolean. Whether what is not the answer is left out of the loss.
        model: Dictionary, arguments of `build_machine`, for a NAM-TM those that are
            not in `MODEL`.
        rows: Dictionary, settings of `load_task` for all rows of the task.
    """

    steps: int
    learning_rate: float = 2e-3
    cosine: bool = False
    clip: float = 0.1
    l2: float = 0.0
    sharpen: float = 1.0
    controller: tuple = (1, 1.5, 2)
    heads: tuple = (1, 2, 4)
    starts: int = 3
    chosen_on: dict = {}
    stages: tuple = (Stage(),)
    loss_on_answer: bool = True
    model: dict = {}
    rows: dict = {}

    def training_rows(self, task, steps, seed):
        """The rows of each stage that has any, `(inputs, targets, weight)`, in order.

        Args:
            task: String, one of `RECIPES`.
            steps: Integer, the number of batches of all stages together.
            seed: Integer.
        """
        shares = np.cumsum([0.0, *(stage.share for stage in self.stages)])
        batches = np.diff(np.rint(steps * shares / shares[-1]).astype(int))
        for count, stage in zip(batches * BATCH_SIZE, self.stages, strict=True):
            if not count:
                continue
            settings = {"task": task, **rows_of(task, "train"), **stage.rows}
            rows = load_rows(num_examples=count, seed=seed, **settings)
            order = short_rows_first(count, stage.short_first, seed)
            inputs, targets, answers = (cells[order] for cells in rows)
            yield inputs, targets, answers if self.loss_on_answer else None

    def model_arguments(self):
        """All arguments of `build_machine`."""
        return {**(MODEL if self.machine == "namtm" else {}), **self.model}

    @property
    def machine(self):
        """The name of the machine, see `build_machine`."""
        return self.model.get("machine", "namtm")


def short_rows_first(count, share, seed):
    """The order in which rows that are drawn from short to long are learned.

    Args:
        count: Integer, the number of rows.
        share: Float, the share of a run in which the longest rows wait their turn,
            while short ones stay. 0 mixes all lengths.
        seed: Integer.
    """
    turn = share * np.arange(count) / count
    order = np.maximum(np.random.default_rng(seed).random(count), turn)
    return np.argsort(order, kind="stable")


def build_machine(machine="namtm", **arguments):
    """Builds the model of a recipe.

    Args:
        machine: String, `"namtm"`, `"lsam"` or `"nam"`: a convolution, which tells a
            value what key stands before it, and a `NAM`. Everything starts orthogonal
            there, and in twice as many dimensions as tokens have, so that keys have
            nothing to do with each other unless they learn to.
        **arguments: Those of `namtm_tagger` or `lsam_tagger`; for a `NAM`
            `vocabulary_size`, `width`, `dropout` and `write_penalty`, the factor of its
            `write_regularizer`.
    """
    if machine == "namtm":
        return namtm_tagger(**arguments)
    if machine == "lsam":
        return lsam_tagger(**arguments)
    width = arguments["width"]
    orthogonal = keras.initializers.Orthogonal
    core = [
        keras.layers.Conv1D(
            2 * width, 2, padding="causal", kernel_initializer=orthogonal()
        ),
        NAM(
            width,
            key_dim=2 * width,
            kernel_initializer=orthogonal(),
            write_regularizer=keras.regularizers.L1(arguments["write_penalty"]),
            return_sequences=True,
        ),
        keras.layers.LayerNormalization(),
    ]
    return token_tagger(
        core,
        arguments["vocabulary_size"],
        width,
        dropout=arguments["dropout"],
        embeddings_initializer=orthogonal(gain=width**0.5),
        name="nam",
    )


# A tape as long as the sequence never wraps around, and heads that cannot jump have to
# learn steps, which go on at any length.
MODEL = {
    "vocabulary_size": 16,
    "width": 128,
    "num_tapes": 2,
    "tape_length": None,
    "use_jump": False,
    "embedding_dropout": 0.1,
    "dropout": 0.1,
}
# The second machine sees what the first one reads, and hands on a carry.
TWO_MACHINES = {"num_layers": 2, "stay_bias": 2.0}
MIXED = (Stage(short_first=0.0),)
# What the papers do, with any of the tasks: 50 epochs, the size "medium".
PUBLISHED = Recipe(
    20_000,
    learning_rate=1e-4,
    l2=1e-5,
    controller=(1,),
    starts=1,
    stages=MIXED,
    loss_on_answer=False,
    model={
        "width": 1024,
        "num_tapes": 8,
        "tape_length": 32,
        "use_jump": True,
        "embedding_dropout": 0.2,
    },
)
# Where two numbers stand is learned best from sums without a carry. Numbers of several
# lengths would teach to count digits, which ends at some length.
PLAIN_SUMS = {"task": "addition", "carries": "none"}
# Carries that run far are rare in sums of random numbers.
SUMS = {"task": "addition", "carries": "many"}
# A key may be written again, and asked for again.
OVERWRITTEN = {"num_overwrites": 4, "num_queries": 16}
RECIPES = {
    "reverse": Recipe(300),
    "copy": Recipe(300),
    # Strings of one length could be found by counting, which ends at some length.
    "repeated_copy": Recipe(
        400,
        stages=(Stage(1.0, 0.8, {"same_length": False}),),
        model={"stay_bias": 2.0},
    ),
    # What ends an answer would be learned for one share of zeros alone.
    "reduction": Recipe(400, stages=(Stage(rows={"zeros": "any"}),)),
    # Its heads have become steeper already, and bear less than those of other tasks,
    # least of all beside a sharper controller.
    "dyck": Recipe(
        500,
        sharpen=4.0,
        controller=(1,),
        heads=(1, 1.25, 1.5, 2, 4),
        # The rows of the split are no deeper than those of training.
        chosen_on={
            "min_depth": 16,
            "max_depth": 16,
            "min_length": 48,
            "max_length": 64,
        },
        model={"vocabulary_size": 11},
    ),
    # Heads become steeper at the same rate in both.
    "addition": Recipe(
        1_600,
        sharpen=7 / 3,
        stages=(Stage(0.375, 0.0, PLAIN_SUMS), Stage(0.625, 0.3, SUMS)),
        model=TWO_MACHINES,
    ),
    "arithmetic": Recipe(
        2_400,
        sharpen=3.0,
        stages=(
            Stage(0.25, 0.0, PLAIN_SUMS),
            Stage(0.3, 0.3, SUMS),
            Stage(0.45, 0.3, {"carries": "many"}),
        ),
        model=TWO_MACHINES,
    ),
    # To write beside pairs costs nothing with eight in a row, and much with more.
    "associative_recall": Recipe(
        1_000,
        learning_rate=4e-3,
        cosine=True,
        clip=1.0,
        stages=(Stage(1.0, 0.0, OVERWRITTEN),),
        model={
            "machine": "nam",
            "vocabulary_size": 129,
            "width": 136,
            "dropout": 0.1,
            "write_penalty": 8e-3,
        },
        rows={"vocabulary_size": 129},
    ),
    "listops": Recipe(
        1_500,
        cosine=True,
        clip=1.0,
        starts=1,
        stages=MIXED,
        model={
            "machine": "lsam",
            "vocabulary_size": 16,
            "width": 128,
            "num_heads": 4,
            "intermediate_dim": 512,
        },
    ),
}


def recipe_of(task, published=False):
    """The recipe of a task, or what the papers do, for its tokens."""
    if not published:
        return RECIPES[task]
    tokens = RECIPES[task].model_arguments()["vocabulary_size"]
    return PUBLISHED._replace(model={**PUBLISHED.model, "vocabulary_size": tokens})


def load_rows(task, num_examples, seed=0, **settings):
    """`load_task`, with the answer in cells of the row whatever the task.

    The value of an expression of `"listops"` takes the place of its last bracket.
    """
    rows = load_task(task, num_examples=num_examples, seed=seed, **settings)
    if task != "listops":
        return rows
    inputs, values, _ = rows
    last = np.arange(len(inputs)), np.count_nonzero(inputs, axis=1) - 1
    targets, answers = inputs.copy(), np.zeros(inputs.shape, np.float32)
    targets[last] = 1 + values
    answers[last] = 1.0
    return inputs, targets, answers


def rows_of(task, split, factor=1):
    """Arguments of `load_task` for the rows of a split, or for longer ones.

    Args:
        task: String, one of `RECIPES`.
        split: String.
        factor: Integer. Above 1, all problems are so many times as long as the longest
            ones of training.
    """
    own = RECIPES[task].rows
    if task == "listops":
        lengths = (
            (27 * factor, 30 * factor) if factor > 1 else EXPRESSION_LENGTHS[split]
        )
        longer = {"min_length": lengths[0] - 1, "max_length": lengths[1] + 1}
    elif factor == 1:
        longer = {}
    elif task == "associative_recall":
        # The vocabulary has 64 keys, and no more pairs.
        longer = {"num_pairs": min(8 * factor, 64), "length": 64 * factor}
    elif task == "dyck":
        # Sequences of depth `d` are at least about `2.5 d` long.
        longer = {"min_depth": 8 * factor, "max_depth": 8 * factor}
        longer |= {"min_length": 24 * factor, "max_length": 32 * factor}
    else:
        longer = {"min_digits": 10 * factor, "max_digits": 10 * factor}
    return {"split": split, **own, **longer}
