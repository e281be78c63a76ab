"""LSTM encoders, with and without attention between two of them."""

import keras
from keras import ops

from keras_nam.arguments import check_divisible
from keras_nam.arguments import check_integer
from keras_nam.baselines.encoder import FixedDepthEncoder
from keras_nam.layers.attention_masks import hide_scores
from keras_nam.layers.attention_masks import padding_of
from keras_nam.layers.lstm import LSTMEncoder


@keras.saving.register_keras_serializable(package="keras_nam")
class LSTMStack(FixedDepthEncoder):
    """Bidirectional LSTMs above each other, and a relu.

    Args:
        num_layers: Positive integer, the number of LSTMs.
        dropout: Float, the rate of dropout between them.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`, with an even number of
            features, which is also that of the outputs.
        padding_mask: Boolean tensor of shape `(batch, time)`. Masked (`False`) steps
            leave all states untouched. `None` means the mask of the inputs.
        training: Boolean. Whether dropout is active.
        mask: The implicit mask of the inputs, which Keras passes.

    Returns:
        A tensor of the shape of `inputs`.

    Example:

    ```python
    keras_nam.baselines.LSTMStack()(keras.random.normal((2, 10, 8))).shape  # (2, 10, 8)
    ```

    Raises:
        ValueError: If the number of features is odd, or a mask has another shape.
    """

    def __init__(self, num_layers=2, dropout=0.0, **kwargs):
        num_layers = check_integer("num_layers", num_layers)
        super().__init__(dropout, **kwargs)
        self.num_layers = num_layers

    def build(self, inputs_shape):
        self.lstms = [
            _bidirectional_lstm(self, inputs_shape, f"lstm_{i}")
            for i in range(self.num_layers)
        ]

    def call(self, inputs, padding_mask=None, training=None, mask=None):
        mask = padding_of(inputs, padding_mask, mask)
        x = self.lstms[0](inputs, mask=mask)
        for lstm in self.lstms[1:]:
            x = lstm(self.dropout_layer(x, training=training), mask=mask)
        return ops.relu(x)

    def get_config(self):
        return {**super().get_config(), "num_layers": self.num_layers}


@keras.saving.register_keras_serializable(package="keras_nam")
class LSTMAttentionEncoder(FixedDepthEncoder):
    """Two bidirectional LSTMs with attention between them.

        e = LSTM(dropout(inputs))
        c_s = sum_z softmax_z((e_s W_a) e_z) e_z
        outputs = dropout(LSTM(dropout(tanh([c_s, e_s] W_b))))

    Args:
        dropout: Float, the rate of dropout.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`, with an even number of
            features, which is also that of the outputs.
        padding_mask: Boolean tensor of shape `(batch, time)`. Masked (`False`) steps
            leave all states untouched, and are attended by no other. `None` means the
            mask of the inputs.
        training: Boolean. Whether dropout is active.
        mask: The implicit mask of the inputs, which Keras passes.

    Returns:
        A tensor of the shape of `inputs`.

    Example:

    ```python
    encoder = keras_nam.baselines.LSTMAttentionEncoder()
    encoder(keras.random.normal((2, 10, 8))).shape  # (2, 10, 8)
    ```

    Raises:
        ValueError: If the number of features is odd, or a mask has another shape.
    """

    def build(self, inputs_shape):
        width = inputs_shape[-1]
        self.encoder = _bidirectional_lstm(self, inputs_shape, "encoder")
        self.decoder = _bidirectional_lstm(self, inputs_shape, "decoder")
        self.score_dense = self._dense("score", width, inputs_shape)
        self.output_dense = self._dense(
            "attended", width, (*inputs_shape[:-1], 2 * width)
        )

    def call(self, inputs, padding_mask=None, training=None, mask=None):
        mask = padding_of(inputs, padding_mask, mask)
        x = self.dropout_layer(inputs, training=training)
        x = self.encoder(x, mask=mask)
        scores = ops.einsum("bsd,bzd->bsz", self.score_dense(x), x)
        scores = ops.cast(scores, keras.backend.result_type(x.dtype, "float32"))
        if mask is not None:
            scores = hide_scores(scores, ops.cast(mask, "bool")[:, None])
        probabilities = ops.cast(ops.softmax(scores, axis=-1), x.dtype)
        context = ops.matmul(probabilities, x)
        x = ops.tanh(self.output_dense(ops.concatenate([context, x], axis=-1)))
        x = self.decoder(self.dropout_layer(x, training=training), mask=mask)
        return self.dropout_layer(x, training=training)

    def _dense(self, name, units, shape):
        layer = keras.layers.Dense(
            units, use_bias=False, dtype=self.dtype_policy, name=name
        )
        layer.build(shape)
        return layer


def _bidirectional_lstm(owner, inputs_shape, name):
    width = inputs_shape[-1]
    check_divisible("features", width, "directions", 2)
    lstm = LSTMEncoder(width // 2, dtype=owner.dtype_policy, name=name)
    lstm.build(inputs_shape)
    return lstm
