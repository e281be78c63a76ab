"""The NAM Turing machine step by step in PyTorch, in the manner of the paper's code."""

import torch
from torch import nn
from torch.nn import functional as F


class NAMTM(nn.Module):
    """Two memories and two heads per tape, moved once per step."""

    def __init__(self, features, units, num_tapes, tape_length):
        super().__init__()
        self.num_tapes, self.tape_length = num_tapes, tape_length
        self.controller = nn.LSTM(features, units, batch_first=True)
        self.value = nn.Linear(features, units)
        self.key = nn.Linear(features, units)
        self.query = nn.Linear(units, units)
        self.action = nn.Linear(units, num_tapes * 11)
        self.output = nn.Linear(units, units)

    def forward(self, x):
        batch, length, _ = x.shape
        hidden, _ = self.controller(x)
        value, key, query, action = (
            y.view(batch, length, self.num_tapes, -1)
            for y in (
                self.value(x),
                self.key(x),
                self.query(hidden),
                self.action(hidden),
            )
        )
        key, query = F.normalize(key, dim=-1), F.normalize(query, dim=-1)
        read_directions = torch.softmax(action[..., :4], dim=-1)
        write_directions = torch.softmax(action[..., 4:8], dim=-1)
        gates = torch.sigmoid(action[..., 8:])

        shape = (batch, self.num_tapes, self.tape_length)
        tape = x.new_zeros(*shape, value.shape[-1])
        key_memory = x.new_zeros(*shape, value.shape[-1])
        start = torch.cat([x.new_ones(*shape[:2], 1), x.new_zeros(shape)[..., 1:]], -1)
        read_position = write_position = start
        outputs = []
        for t in range(length):
            read, write, erase = gates[:, t].unsqueeze(-2).unbind(-1)
            reader = F.normalize(read_position, dim=-1)
            writer = F.normalize(write_position, dim=-1)
            erased = torch.einsum("btl,btlc->btc", writer, tape)
            change = write * value[:, t] - erase * erased
            tape = tape + writer.unsqueeze(-1) * change.unsqueeze(-2)
            outputs.append(read * torch.einsum("btl,btlc->btc", reader, tape))

            stored = torch.einsum("btlc,btc->btl", key_memory, key[:, t])
            change = write * write_position - erase * stored
            key_memory = key_memory + change.unsqueeze(-1) * key[:, t].unsqueeze(-2)
            jump = torch.einsum("btlc,btc->btl", key_memory, query[:, t])
            read_position = move(read_position, read_directions[:, t], jump)
            write_position = move(write_position, write_directions[:, t], jump)
        return self.output(torch.stack(outputs, dim=1).flatten(2))


def move(position, direction, jump):
    previous, stay, following, jumping = direction.unsqueeze(-2).unbind(-1)
    return (
        previous * torch.roll(position, -1, dims=-1)
        + stay * position
        + following * torch.roll(position, 1, dims=-1)
        + jumping * jump
    )


def from_keras(layer):
    """The same layer with the weights of a `keras_nam.layers.NAMTM`."""
    cell = layer.cell
    kernel, recurrent_kernel, bias = map(torch.tensor, cell.controller.get_weights())
    module = NAMTM(kernel.shape[0], cell.units, cell.num_tapes, cell.tape_length)
    with torch.no_grad():
        module.controller.weight_ih_l0.copy_(kernel.T)
        module.controller.weight_hh_l0.copy_(recurrent_kernel.T)
        module.controller.bias_ih_l0.copy_(bias)
        module.controller.bias_hh_l0.zero_()
        for name in ("value", "key", "query", "action", "output"):
            kernel, bias = getattr(cell, f"{name}_dense").get_weights()
            getattr(module, name).weight.copy_(torch.tensor(kernel).T)
            getattr(module, name).bias.copy_(torch.tensor(bias))
    return module
