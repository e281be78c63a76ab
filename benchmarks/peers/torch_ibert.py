"""I-BERT from PyTorch's own layers."""

import torch
from torch import nn


class IBERT(nn.Module):
    """A bidirectional LSTM, a normalisation, and PyTorch's Transformer encoder."""

    def __init__(self, width, num_layers, num_heads, intermediate_dim):
        super().__init__()
        self.recurrent = nn.LSTM(
            width, width // 2, bidirectional=True, batch_first=True
        )
        self.input_norm = nn.LayerNorm(width)
        block = nn.TransformerEncoderLayer(
            width, num_heads, intermediate_dim, dropout=0.0, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(
            block, num_layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )

    def forward(self, x):
        return self.encoder(self.input_norm(self.recurrent(x)[0]))


def from_keras(layer):
    """The same encoder with the weights of a `keras_nam.layers.IBERTEncoder`."""
    width = layer.output_norm.gamma.shape[0]
    module = IBERT(width, layer.num_layers, layer.num_heads, layer.intermediate_dim)
    weights = {}
    recurrent = layer.recurrent_layer
    for direction, suffix in enumerate(["", "_reverse"]):
        kernel, recurrent_kernel, bias = (
            torch.tensor(w.numpy()[direction]) for w in recurrent.weights
        )
        weights[f"recurrent.weight_ih_l0{suffix}"] = kernel.T
        weights[f"recurrent.weight_hh_l0{suffix}"] = recurrent_kernel.T
        # PyTorch has two biases, of which the sum counts.
        weights[f"recurrent.bias_ih_l0{suffix}"] = bias
        weights[f"recurrent.bias_hh_l0{suffix}"] = torch.zeros_like(bias)
    weights |= _norm("input_norm", layer.input_norm)
    weights |= _norm("encoder.norm", layer.output_norm)
    for i, block in enumerate(layer.blocks):
        prefix = f"encoder.layers.{i}"
        attention = block.attention_layer
        projections = [
            getattr(attention, f"{name}_dense") for name in ("query", "key", "value")
        ]
        kernels = [_flat(dense.kernel).reshape(width, -1).T for dense in projections]
        weights[f"{prefix}.self_attn.in_proj_weight"] = torch.cat(kernels)
        weights[f"{prefix}.self_attn.in_proj_bias"] = torch.cat(
            [_flat(dense.bias).reshape(-1) for dense in projections]
        )
        output = attention.output_dense
        weights[f"{prefix}.self_attn.out_proj.weight"] = (
            _flat(output.kernel).reshape(-1, width).T
        )
        weights[f"{prefix}.self_attn.out_proj.bias"] = _flat(output.bias)
        for name, dense in (
            ("linear1", block.intermediate_dense),
            ("linear2", block.output_dense),
        ):
            weights[f"{prefix}.{name}.weight"] = _flat(dense.kernel).T
            weights[f"{prefix}.{name}.bias"] = _flat(dense.bias)
        weights |= _norm(f"{prefix}.norm1", block.attention_norm)
        weights |= _norm(f"{prefix}.norm2", block.feedforward_norm)
    module.load_state_dict(weights)
    return module


def _flat(variable):
    return torch.tensor(variable.numpy())


def _norm(name, norm):
    return {
        f"{name}.weight": _flat(norm.gamma),
        f"{name}.bias": _flat(norm.beta),
    }
