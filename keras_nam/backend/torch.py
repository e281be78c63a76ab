"""The PyTorch part of the package. The functions are those of the TensorFlow part."""

import torch
from keras import ops
from keras import tree
from torch.autograd.function import once_differentiable


# A compiler would unroll the loop, and take minutes for it.
@torch.compiler.disable
def scan(step, state, sequences, reverse=False, unroll=False):
    """Runs `step` over the first axis of `sequences` and stacks its outputs.

    PyTorch runs what Python runs, so that the steps are laid out one after the other
    either way.
    """
    del unroll
    flat_sequences = [ops.convert_to_tensor(x) for x in tree.flatten(sequences)]
    length = flat_sequences[0].shape[0]
    if length == 0:
        zeros = [x.new_zeros(x.shape[1:]) for x in flat_sequences]
        _, example = step(state, tree.pack_sequence_as(sequences, zeros))
        return state, tree.map_structure(lambda x: x.new_zeros((0, *x.shape)), example)
    elements = list(zip(*(x.unbind() for x in flat_sequences), strict=True))
    outputs = [None] * length
    for at in reversed(range(length)) if reverse else range(length):
        state, outputs[at] = step(state, tree.pack_sequence_as(sequences, elements[at]))
    return state, tree.map_structure(lambda *steps: torch.stack(steps), *outputs)


def custom_gradient(function):
    """Gives a function a gradient of its own, which has no gradient itself.

    `keras.ops.custom_gradient` knows functions of one result only on PyTorch.
    """

    @torch.compiler.disable
    def with_gradient(*tensors):
        tensors = [ops.convert_to_tensor(x) for x in tensors]
        return _CustomGradient.apply(function, *tensors)

    return with_gradient


class _CustomGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, function, *tensors):
        outputs, ctx.gradient = function(*tensors)
        # PyTorch makes what is returned part of the graph that holds the gradient. If
        # the gradient held that in turn, neither would ever be freed.
        return tuple(x.detach() for x in outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):
        return None, *ctx.gradient(*gradients)


def require(condition, message, tensor):
    """Returns `tensor`, or fails with `message` if `condition` is false.

    Keras finds out shapes with tensors that have no values; there, and where PyTorch
    compiles, nothing is checked.
    """
    known = not (torch.compiler.is_compiling() or condition.is_meta)
    if known and not bool(condition):
        raise ValueError(message)
    return tensor


def has_accelerator():
    """Whether tensors live on a GPU."""
    return ops.zeros(()).device.type != "cpu"
