"""How a NAM-TM learns the algorithmic tasks.

Two are left out. Which value belongs to a key of `"associative_recall"` is due at the
very step that shows the key, and a head that jumps there arrives one step later. The
value of an operator of `"listops"` depends on what was read before, which the
controller does not see.
"""

from typing import NamedTuple

BATCH_SIZE = 128


class Recipe(NamedTuple):
    """The settings of a training run, on batches of `BATCH_SIZE` rows.

    Attributes:
        steps: Integer, the number of batches.
        learning_rate: Float, at the first step; it falls by 2 % every 400 steps.
        clip: Float, the largest norm of all gradients together.
        sharpen: Float, the factor of `SharpenHeads`, over four fifths of the steps. 1
            leaves the heads as they are.
        short_first: Boolean. Whether the longest rows wait for the end of training,
            while short ones stay.
        loss_on_answer: Boolean. Whether what is not the answer is left out of the loss.
        model: Dictionary, arguments of `namtm_tagger`.
    """

    steps: int
    learning_rate: float = 2e-3
    clip: float = 0.1
    sharpen: float = 1.0
    short_first: bool = True
    loss_on_answer: bool = True
    model: dict = {}

    def model_arguments(self):
        """All arguments of `namtm_tagger`."""
        return {**MODEL, **self.model}


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
# What the papers do, with any of the tasks.
PUBLISHED = Recipe(
    8_000,
    learning_rate=1e-3,
    short_first=False,
    loss_on_answer=False,
    model={"use_jump": True, "embedding_dropout": 0.2},
)
RECIPES = {
    "reverse": Recipe(300),
    "copy": Recipe(300),
    "repeated_copy": Recipe(400),
    "reduction": Recipe(400),
    "dyck": Recipe(500, sharpen=4.0, model={"vocabulary_size": 11}),
    "addition": PUBLISHED,
    "arithmetic": PUBLISHED,
}


def rows_of(task, split, factor=1):
    """Arguments of `load_task` for the rows of a split, or for longer ones.

    Args:
        task: String, one of `RECIPES`.
        split: String.
        factor: Integer. Above 1, all problems are so many times as long as the longest
            ones of training.
    """
    if factor == 1:
        return {"split": split}
    if task == "dyck":
        # Sequences of depth `d` are at least about `2.5 d` long.
        longer = {"min_depth": 8 * factor, "max_depth": 8 * factor}
        longer |= {"min_length": 24 * factor, "max_length": 32 * factor}
    else:
        longer = {"min_digits": 10 * factor, "max_digits": 10 * factor}
    return {"split": split, **longer}
