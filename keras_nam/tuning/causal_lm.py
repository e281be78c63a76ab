"""The search space of causal language models."""

from keras_nam.arguments import check_absent
from keras_nam.arguments import check_instance
from keras_nam.baselines import RotaryAttention
from keras_nam.layers import GatedDeltaNet
from keras_nam.layers import NAMAttention
from keras_nam.layers import TransformerBlock
from keras_nam.metrics import MaskedPerplexity
from keras_nam.models import causal_lm
from keras_nam.optional import keras_tuner
from keras_nam.tokenizers import Tokenizer
from keras_nam.tuning.rejection import reject_indivisible
from keras_nam.tuning.sequence_model import HyperSequenceModel


class HyperCausalLM(HyperSequenceModel):
    """Search space of a `causal_lm` of memories, with a softmax here and there.

    Beside the hyperparameters of training, see `HyperSequenceModel`, but for those of
    padding and of answers, there are

    | name | values |
    |---|---|
    | `width` | 64, 128, 256 |
    | `num_heads` | 2, 4, 8 |
    | `num_layers` | 1 to 4 |
    | `intermediate_ratio` | 1, 2, 4 times the width in the feed-forward parts |
    | `memory` | `"nam"`, which erases, or `"gated_delta_net"` |
    | `decay` | `"none"`, `"head"`, `"channel"`, for `"nam"` |
    | `softmax_every` | 0 for none; every 2nd or 4th layer is `RotaryAttention` |
    | `window` | 32, 64, 128 steps, which that layer sees, if there is one |
    | `tie_embeddings` | whether the embedding makes the logits |
    | `dropout` | 0, 0.1, 0.2, 0.3 |

    `objective` is the perplexity on `longer_data`, rows with more context than those
    trained on.

    Args:
        tokenizer: A `keras_nam.tokenizers.Tokenizer`.
        **kwargs: Arguments of `HyperSequenceModel`, but `num_classes` and
            `padding_token`.

    Example:

    ```python
    import keras_tuner

    space = keras_nam.tuning.HyperCausalLM(keras_nam.tokenizers.ByteTokenizer())
    hp = keras_tuner.HyperParameters()
    model = space.build(hp)
    hp["num_layers"], hp["memory"], hp["decay"]  # (2, 'nam', 'head')
    ```

    Raises:
        ValueError: If `tokenizer` is none, or a size is not a positive integer.
    """

    def __init__(self, tokenizer, **kwargs):
        check_absent(
            kwargs, ("num_classes", "padding_token"), "Every token has one that follows"
        )
        self.tokenizer = check_instance("tokenizer", tokenizer, Tokenizer)
        super().__init__(tokenizer.vocabulary_size(), **kwargs)

    @property
    def objective(self):
        return keras_tuner.Objective("val_longer_masked_perplexity", "min")

    @property
    def measures(self):
        return {"weighted_metrics": [MaskedPerplexity(), "accuracy"]}

    def make_model(self, hp):
        width = hp.Choice("width", [64, 128, 256], default=128)
        num_heads = hp.Choice("num_heads", [2, 4, 8], default=4)
        num_layers = hp.Int("num_layers", 1, 4, default=2)
        ratio = hp.Choice("intermediate_ratio", [1, 2, 4], default=2)
        memory = hp.Choice("memory", ["nam", "gated_delta_net"], default="nam")
        with hp.conditional_scope("memory", ["nam"]):
            decay = hp.Choice("decay", ["none", "head", "channel"], default="head")
        every = hp.Choice("softmax_every", [0, 2, 4], default=0)
        with hp.conditional_scope("softmax_every", [2, 4]):
            window = hp.Choice("window", [32, 64, 128], default=64)
        dropout = hp.Choice("dropout", [0.0, 0.1, 0.2, 0.3], default=0.0)
        reject_indivisible(width=width, num_heads=num_heads)
        sizes = num_heads, width // num_heads

        def make_attention(i):
            if every and i % every == every - 1:
                return RotaryAttention(*sizes, window=window)
            if memory == "gated_delta_net":
                return GatedDeltaNet(*sizes)
            decays = None if decay == "none" else decay
            return NAMAttention(*sizes, use_erase=True, decay=decays)

        core = [
            TransformerBlock(
                make_attention(i), ratio * width, dropout=dropout, name=f"block_{i}"
            )
            for i in range(num_layers)
        ]
        return causal_lm(
            core,
            self.tokenizer,
            width,
            dropout=dropout,
            tie_embeddings=bool(hp.Boolean("tie_embeddings")),
            name="causal_lm",
        )

    def _uses_weight(self, hp):
        return True
