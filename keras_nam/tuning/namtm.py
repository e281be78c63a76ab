"""The search space of NAM Turing machines."""

from keras_nam.models import namtm_tagger
from keras_nam.tuning.rejection import reject_indivisible
from keras_nam.tuning.sequence_model import HyperSequenceModel


class HyperNAMTM(HyperSequenceModel):
    """Search space of `keras_nam.models.namtm_tagger`, a NAM Turing machine.

    Beside the hyperparameters of training, see `HyperSequenceModel`, there are

    | name | values |
    |---|---|
    | `width` | 64, 128, 256 |
    | `num_tapes` | 1, 2, 4 |
    | `tape` | `"sequence"`: as long as the sequence, or `"fixed"` |
    | `tape_length` | 16, 32, 64, of a tape that is fixed |
    | `use_jump`, `use_erase`, `use_gates` | see `keras_nam.layers.NAMTM` |
    | `embedding_dropout`, `dropout` | 0, 0.1, 0.2, 0.3 |

    Args:
        vocabulary_size: Positive integer, the number of tokens.
        **kwargs: Arguments of `HyperSequenceModel`, but `num_classes`.

    Example:

    ```python
    import keras_tuner

    space = keras_nam.tuning.HyperNAMTM(16, padding_token=11)
    hp = keras_tuner.HyperParameters()
    model = space.build(hp)
    hp["width"], hp["num_tapes"], hp["tape"]  # (128, 2, 'sequence')
    ```

    Raises:
        ValueError: If a size is not a positive integer.
    """

    tags_tokens = True

    def make_model(self, hp):
        width = hp.Choice("width", [64, 128, 256], default=128)
        num_tapes = hp.Choice("num_tapes", [1, 2, 4], default=2)
        hp.Choice("tape", ["sequence", "fixed"])
        with hp.conditional_scope("tape", ["fixed"]):
            # `None` where the tape is not fixed, which is what the model takes for it.
            tape_length = hp.Choice("tape_length", [16, 32, 64], default=32)
        reject_indivisible(width=width, num_tapes=num_tapes)
        return namtm_tagger(
            self.vocabulary_size,
            width=width,
            num_tapes=num_tapes,
            tape_length=tape_length,
            use_jump=hp.Boolean("use_jump", default=True),
            use_erase=hp.Boolean("use_erase", default=True),
            use_gates=hp.Boolean("use_gates", default=True),
            mask_token=self.mask_token(hp),
            embedding_dropout=hp.Choice(
                "embedding_dropout", [0.0, 0.1, 0.2, 0.3], default=0.2
            ),
            dropout=hp.Choice("dropout", [0.0, 0.1, 0.2, 0.3], default=0.1),
        )
