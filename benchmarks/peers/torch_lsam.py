"""LSAM step by step in PyTorch, in the manner of the paper's code."""

import torch
from torch import nn
from torch.nn import functional as F


class LSAM(nn.Module):
    """A loop over time around one cell, `(batch, time, features)` to the same."""

    def __init__(self, features, units, num_heads):
        super().__init__()
        self.units, self.num_heads = units, num_heads
        self.vectors = nn.Linear(features + units, 3 * units)
        self.gates = nn.Linear(features + units, 2 * num_heads)

    def forward(self, x):
        batch, length, _ = x.shape
        dim = self.units // self.num_heads
        hidden = x.new_zeros(batch, self.units)
        memory = x.new_zeros(batch, self.num_heads, dim, dim)
        outputs = []
        for t in range(length):
            z = torch.cat([x[:, t], hidden], dim=-1)
            vectors = self.vectors(z).view(batch, 3, self.num_heads, dim)
            query, key, value = vectors.unbind(1)
            gates = torch.sigmoid(self.gates(z)).view(batch, 2, self.num_heads, 1)
            write, read = gates.unbind(1)
            query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
            recalled = torch.matmul(memory, key.unsqueeze(-1)).squeeze(-1)
            added = write * (value - recalled)
            memory = memory + added.unsqueeze(-1) * key.unsqueeze(-2)
            output = read * torch.matmul(memory, query.unsqueeze(-1)).squeeze(-1)
            hidden = output.reshape(batch, self.units)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1)


def from_keras(layer):
    """The same layer with the weights of a `keras_nam.layers.LSAM`."""
    cell = layer.cell
    kernel, recurrent_kernel, bias = (torch.tensor(w) for w in cell.get_weights())
    module = LSAM(kernel.shape[0], cell.units, cell.num_heads)
    weight = torch.cat([kernel, recurrent_kernel]).T
    width = 3 * cell.units
    with torch.no_grad():
        module.vectors.weight.copy_(weight[:width])
        module.vectors.bias.copy_(bias[:width])
        module.gates.weight.copy_(weight[width:])
        module.gates.bias.copy_(bias[width:])
    return module
