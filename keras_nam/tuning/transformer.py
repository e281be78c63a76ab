"""The search space of Transformer encoders."""

from keras_nam.layers import NAMTransformerEncoder
from keras_nam.layers import PositionEmbedding
from keras_nam.models import sequence_classifier
from keras_nam.models import token_tagger
from keras_nam.tuning.rejection import reject_indivisible
from keras_nam.tuning.sequence_model import HyperSequenceModel


class HyperNAMTransformer(HyperSequenceModel):
    """Search space of `NAMTransformerEncoder` blocks, as a tagger or a classifier.

    Beside the hyperparameters of training, see `HyperSequenceModel`, there are

    | name | values |
    |---|---|
    | `width` | 64, 128, 256 |
    | `num_heads` | 2, 4, 8 |
    | `num_layers` | 1 to 4 |
    | `intermediate_ratio` | 1, 2, 4 times the width in the feed-forward parts |
    | `attention` | `"nam"`, `"linear"`, `"softmax"` |
    | `use_gates` | whether a memory has gates, for `"nam"` |
    | `positions` | `"sinusoidal"` or `"none"` |
    | `pooling` | `"mean"` or `"cls"`, for a classifier |
    | `dropout` | 0, 0.1, 0.2, 0.3 |

    Args:
        vocabulary_size: Positive integer, the number of tokens.
        num_classes: Positive integer for a `sequence_classifier`. `None` means a
            `token_tagger`.
        **kwargs: Arguments of `HyperSequenceModel`.

    Example:

    ```python
    import keras_tuner

    space = keras_nam.tuning.HyperNAMTransformer(16, num_classes=10, padding_token=0)
    hp = keras_tuner.HyperParameters()
    model = space.build(hp)
    hp["num_layers"], hp["attention"], hp["use_gates"]  # (2, 'nam', True)
    ```

    Raises:
        ValueError: If a size is not a positive integer.
    """

    def make_model(self, hp):
        width = hp.Choice("width", [64, 128, 256], default=128)
        num_heads = hp.Choice("num_heads", [2, 4, 8], default=4)
        num_layers = hp.Int("num_layers", 1, 4, default=2)
        ratio = hp.Choice("intermediate_ratio", [1, 2, 4], default=2)
        attention = hp.Choice("attention", ["nam", "linear", "softmax"], default="nam")
        with hp.conditional_scope("attention", ["nam"]):
            use_gates = hp.Boolean("use_gates", default=True)
        dropout = hp.Choice("dropout", [0.0, 0.1, 0.2, 0.3], default=0.1)
        positions = hp.Choice("positions", ["sinusoidal", "none"], default="sinusoidal")
        reject_indivisible(width=width, num_heads=num_heads)
        blocks = [
            NAMTransformerEncoder(
                ratio * width,
                num_heads,
                attention=attention,
                use_gates=bool(use_gates),
                dropout=dropout,
                name=f"block_{i}",
            )
            for i in range(num_layers)
        ]
        mask_token = self.mask_token(hp)
        if self.num_classes is None:
            if positions == "sinusoidal":
                blocks.insert(0, PositionEmbedding(name="positions"))
            return token_tagger(
                blocks,
                self.vocabulary_size,
                width,
                mask_token=mask_token,
                dropout=dropout,
                name="nam_transformer",
            )
        return sequence_classifier(
            blocks,
            self.vocabulary_size,
            width,
            self.num_classes,
            pooling=hp.Choice("pooling", ["mean", "cls"], default="mean"),
            positions=None if positions == "none" else positions,
            mask_token=mask_token,
            dropout=dropout,
            name="nam_transformer",
        )
