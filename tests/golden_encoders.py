"""I-BERT and its comparison models against the golden arrays: models and links."""

import golden_weights as weights
import keras
import numpy as np
from golden_weights import Link
from golden_weights import same

import keras_nam
from keras_nam import baselines


def _tagger(core, arrays):
    vocabulary, width = arrays["w.emb.E"].shape
    return keras_nam.models.token_tagger(core, vocabulary, width)


def _sizes(arrays):
    intermediate_dim, _ = arrays.get("w.layer0.ff2.W", np.zeros((1, 1))).shape
    return {
        "num_layers": sum(f"w.layer{i}.ln1.gamma" in arrays for i in range(100)),
        "num_heads": arrays["w.layer0.att.q.W"].shape[1],
        "intermediate_dim": intermediate_dim,
    }


def _ibert(arrays, relu=True, tie_norms=False, **arguments):
    encoder = keras_nam.layers.IBERTEncoder(**_sizes(arrays), **arguments)
    model = _tagger([encoder, keras.layers.ReLU()] if relu else encoder, arrays)
    links = [*_blocks(encoder)]
    if arguments.get("recurrent") == "gru":
        links += _gru(encoder.recurrent_layer, "rnn")
    else:
        links += lstm(encoder.recurrent_layer, "rnn")
    if encoder.position_embedding is not None:
        links += weights.embedding(encoder.position_embedding, "pos")
    if encoder.input_norm is not None:
        links += weights.norm(encoder.input_norm, "ln_in")
    if tie_norms:
        encoder.output_norm = encoder.input_norm
    else:
        links += weights.norm(encoder.output_norm, "ln_out")
    return _case(model, links)


def ibert_ae(arrays):
    return _ibert(arrays)


def ibert_ae_uni(arrays):
    return _ibert(arrays, bidirectional=False)


def ibert_pos(arrays):
    return _ibert(arrays, max_length=arrays["w.pos.E"].shape[0])


def ibert_grutf(arrays):
    return _ibert(arrays, relu=False, tie_norms=True, recurrent="gru")


def ibert2_ae(arrays):
    return _ibert(arrays, relu=False, feedforward="lstm")


def base_tf_ae(arrays):
    encoder = baselines.TransformerEncoder(
        **_sizes(arrays), max_length=arrays["w.pos.E"].shape[0]
    )
    model = _tagger(encoder, arrays)
    return _case(
        model,
        [
            *_blocks(encoder),
            *weights.embedding(encoder.position_embedding, "pos"),
            *weights.norm(encoder.output_norm, "ln_out"),
        ],
    )


def base_xlnet_ae(arrays):
    encoder = baselines.XLNetEncoder(**_sizes(arrays))
    model = _tagger(encoder, arrays)
    links = _blocks(encoder)
    for i, block in enumerate(encoder.blocks):
        attention = block.attention_layer
        prefix = f"layer{i}.att"
        links += [
            same(attention.position_dense.kernel, f"{prefix}.r.W"),
            same(attention.content_bias, f"{prefix}.bias_w"),
            same(attention.position_bias, f"{prefix}.bias_r"),
            *weights.norm(attention.norm, f"{prefix}.ln"),
        ]
    return _case(model, links)


def lstm_ae(arrays):
    encoder = baselines.LSTMAttentionEncoder()
    model = _tagger(encoder, arrays)
    return _case(
        model,
        [
            *lstm(encoder.encoder, "enc"),
            *lstm(encoder.decoder, "dec"),
            same(encoder.score_dense.kernel, "att_in.W"),
            same(encoder.output_dense.kernel, "att_out.W"),
        ],
    )


def base_lstm_noatt(arrays):
    num_layers = sum(f"w.rnn.l{i}.fw.b" in arrays for i in range(100))
    encoder = baselines.LSTMStack(num_layers)
    model = _tagger(encoder, arrays)
    layers = enumerate(encoder.lstms)
    return _case(model, [link for i, x in layers for link in lstm(x, f"rnn.l{i}")])


def base_cnn_ae(arrays):
    encoder = baselines.ConvolutionalEncoder()
    model = _tagger(encoder, arrays)
    links = weights.norm(encoder.input_norm, "ln_in")
    for i, block in enumerate(encoder.blocks):
        for j, (convolution, norm) in enumerate(block):
            links += weights.dense(convolution, f"res{i}.conv{j}")
            links += weights.norm(norm, f"res{i}.bn{j}")
            norm.moving_mean.assign(arrays[f"w.res{i}.bn{j}.mean"])
            norm.moving_variance.assign(arrays[f"w.res{i}.bn{j}.var"])
    return _case(model, links)


CASES = {
    f.__name__: f
    for f in (
        ibert_ae,
        ibert_ae_uni,
        ibert_pos,
        ibert_grutf,
        ibert2_ae,
        base_tf_ae,
        base_xlnet_ae,
        lstm_ae,
        base_lstm_noatt,
        base_cnn_ae,
    )
}


def lstm(layer, prefix):
    """An `LSTMEncoder`, whose weights hold both directions."""
    names = {"kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"}
    parts = ["fw.", "bw."] if layer.bidirectional else [""]

    def link(attribute, letter):
        keys = [f"{prefix}.{part}{letter}" for part in parts]
        return Link(
            getattr(layer, attribute),
            lambda arrays: np.stack([arrays[key] for key in keys]),
            lambda gradient: dict(zip(keys, gradient, strict=True)),
        )

    return [link(attribute, letter) for attribute, letter in names.items()]


def _gru(layer, prefix):
    """Keras has the gates as `[z, r, n]`, the golden arrays as `[r, z, n]`."""

    def swap(x):
        reset, update, new = np.split(x, 3, axis=-1)
        return np.concatenate([update, reset, new], axis=-1)

    def links(gru, prefix):
        def matrix(variable, name):
            return Link(
                variable,
                lambda arrays: swap(arrays[name]),
                lambda gradient: {name: swap(gradient)},
            )

        names = [f"{prefix}.bx", f"{prefix}.bh"]
        biases = Link(
            gru.cell.bias,
            lambda arrays: np.stack([swap(arrays[name]) for name in names]),
            lambda gradient: {
                name: swap(g) for name, g in zip(names, gradient, strict=True)
            },
        )
        return [
            matrix(gru.cell.kernel, f"{prefix}.Wx"),
            matrix(gru.cell.recurrent_kernel, f"{prefix}.Wh"),
            biases,
        ]

    return [
        *links(layer.forward_layer, f"{prefix}.fw"),
        *links(layer.backward_layer, f"{prefix}.bw"),
    ]


def _blocks(encoder):
    links = []
    for i, block in enumerate(encoder.blocks):
        prefix = f"layer{i}"
        for name in ("query", "key", "value", "output"):
            dense = getattr(block.attention_layer, f"{name}_dense")
            links.append(same(dense.kernel, f"{prefix}.att.{name[0]}.W"))
            if dense.bias is not None:
                links.append(same(dense.bias, f"{prefix}.att.{name[0]}.b"))
        links += weights.norm(block.attention_norm, f"{prefix}.ln1")
        links += weights.norm(block.feedforward_norm, f"{prefix}.ln2")
        if isinstance(block.feedforward, keras.layers.Layer):
            links += lstm(block.feedforward, f"{prefix}.rnn")
        else:
            links += weights.dense(block.intermediate_dense, f"{prefix}.ff1")
            links += weights.dense(block.output_dense, f"{prefix}.ff2")
    return links


def _case(model, links):
    ends = [
        *weights.embedding(model.get_layer("embedding"), "emb"),
        *weights.dense(model.get_layer("logits"), "fc"),
    ]
    return lambda tok: {"y": model(tok)}, [*links, *ends]
