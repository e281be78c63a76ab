"""The search space of long short-term attention memories."""

from keras_nam.models import lsam_tagger
from keras_nam.tuning.rejection import reject_indivisible
from keras_nam.tuning.sequence_model import HyperSequenceModel


class HyperLSAM(HyperSequenceModel):
    """Search space of `keras_nam.models.lsam_tagger`.

    Beside the hyperparameters of training, see `HyperSequenceModel`, there are

    | name | values |
    |---|---|
    | `width` | 64, 128, 256 |
    | `num_heads` | 2, 4, 8 |
    | `intermediate_ratio` | 1, 2, 4 times the width in the feed-forward part |
    | `dropout` | 0, 0.1, 0.2, 0.3 |

    Args:
        vocabulary_size: Positive integer, the number of tokens.
        **kwargs: Arguments of `HyperSequenceModel`, but `num_classes`.

    Example:

    ```python
    import keras_tuner

    space = keras_nam.tuning.HyperLSAM(16, padding_token=11)
    hp = keras_tuner.HyperParameters()
    model = space.build(hp)
    hp["width"], hp["num_heads"], hp["intermediate_ratio"]  # (128, 4, 4)
    ```

    Raises:
        ValueError: If a size is not a positive integer.
    """

    tags_tokens = True

    def make_model(self, hp):
        width = hp.Choice("width", [64, 128, 256], default=128)
        num_heads = hp.Choice("num_heads", [2, 4, 8], default=4)
        ratio = hp.Choice("intermediate_ratio", [1, 2, 4], default=4)
        # Either direction of the encoder has half of the heads.
        reject_indivisible(num_heads=num_heads, num_directions=2)
        reject_indivisible(width=width, num_heads=num_heads)
        return lsam_tagger(
            self.vocabulary_size,
            width=width,
            num_heads=num_heads,
            intermediate_dim=ratio * width,
            mask_token=self.mask_token(hp),
            dropout=hp.Choice("dropout", [0.0, 0.1, 0.2, 0.3], default=0.1),
        )
