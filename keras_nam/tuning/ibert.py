"""The search space of I-BERT."""

from keras_nam.layers import IBERTEncoder
from keras_nam.models import token_tagger
from keras_nam.tuning.rejection import reject_indivisible
from keras_nam.tuning.sequence_model import HyperSequenceModel


class HyperIBERT(HyperSequenceModel):
    """Search space of a `token_tagger` around a `keras_nam.layers.IBERTEncoder`.

    Beside the hyperparameters of training, see `HyperSequenceModel`, there are

    | name | values |
    |---|---|
    | `width` | 64, 128, 256 |
    | `num_heads` | 2, 4, 8 |
    | `num_layers` | 1 to 4 |
    | `intermediate_ratio` | 1, 2, 4 times the width in the feed-forward parts |
    | `recurrent` | `"lstm"`, `"gru"`, `"lsam"`: what knows the order of the tokens |
    | `dropout` | 0, 0.1, 0.2, 0.3 |

    Args:
        vocabulary_size: Positive integer, the number of tokens.
        **kwargs: Arguments of `HyperSequenceModel`, but `num_classes`.

    Example:

    ```python
    import keras_tuner

    space = keras_nam.tuning.HyperIBERT(16, padding_token=11)
    hp = keras_tuner.HyperParameters()
    model = space.build(hp)
    hp["num_layers"], hp["recurrent"]  # (2, 'lstm')
    ```

    Raises:
        ValueError: If a size is not a positive integer.
    """

    tags_tokens = True

    def make_model(self, hp):
        width = hp.Choice("width", [64, 128, 256], default=128)
        num_heads = hp.Choice("num_heads", [2, 4, 8], default=4)
        num_layers = hp.Int("num_layers", 1, 4, default=2)
        ratio = hp.Choice("intermediate_ratio", [1, 2, 4], default=4)
        recurrent = hp.Choice("recurrent", ["lstm", "gru", "lsam"], default="lstm")
        # Either direction of the recurrent layer has half of the width.
        reject_indivisible(width=width, num_directions=2)
        reject_indivisible(width_of_a_direction=width // 2, num_heads=num_heads)
        encoder = IBERTEncoder(
            num_layers,
            num_heads,
            ratio * width,
            recurrent=recurrent,
            dropout=hp.Choice("dropout", [0.0, 0.1, 0.2, 0.3], default=0.1),
            name="encoder",
        )
        return token_tagger(
            encoder,
            self.vocabulary_size,
            width,
            mask_token=self.mask_token(hp),
            name="ibert_tagger",
        )
