"""Steps: functions of no argument that run a forward, or forward and backward, pass.

A step returns when its numbers are there. The loss is the mean of the squares of the
outputs; gradients are taken with respect to inputs and weights.
"""

import tensorflow as tf


def keras_step(function, inputs, variables=(), jit_compile=False, backward=True):
    """A step of any function of tensors, as a TensorFlow graph or compiled by XLA."""
    variables = [getattr(v, "value", v) for v in variables]

    @tf.function(jit_compile=jit_compile)
    def compute(inputs):
        if not backward:
            return tf.reduce_mean(tf.square(function(inputs)))
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_mean(tf.square(function(inputs)))
        return loss, tape.gradient(loss, [inputs, *variables])

    def step():
        results = tf.nest.flatten(compute(inputs))
        for x in results:
            if isinstance(x, tf.IndexedSlices):
                x = x.values
            x.numpy()
        return float(results[0])

    return step


def layer_step(layer, shape, jit_compile=False, backward=True, seed=0):
    """A step of a Keras layer on normal inputs of `shape`."""
    inputs = tf.random.stateless_normal(shape, (seed, 0))
    if not layer.built:
        layer.build((None, None, shape[-1]))
    return keras_step(layer, inputs, layer.trainable_variables, jit_compile, backward)


def torch_step(module, *inputs, backward=True):
    """The same of a PyTorch module, on numpy arrays."""
    import torch

    inputs = [torch.tensor(x, requires_grad=backward) for x in inputs]
    parameters = list(module.parameters()) if hasattr(module, "parameters") else []

    def step():
        if not backward:
            with torch.no_grad():
                return module(*inputs).square().mean().item()
        loss = module(*inputs).square().mean()
        torch.autograd.grad(loss, [*inputs, *parameters], allow_unused=True)
        return loss.item()

    return step


def products_step(products):
    """A step of bare matrix products and those of their gradients: a lower bound.

    Args:
        products: List of `(rows, columns, inner)`, the sizes of each product.
    """
    normal = tf.random.normal
    operands = [(normal((m, k)), normal((k, n))) for m, n, k in products]

    @tf.function
    def compute():
        totals = []
        for left, right in operands:
            product = left @ right
            totals += [tf.reduce_sum(product @ tf.transpose(right))]
            totals += [tf.reduce_sum(tf.transpose(left) @ product)]
        return tf.add_n(totals)

    return lambda: float(compute())


def graph_and_xla(name, build):
    """Two contenders of one builder `build(jit_compile)`."""
    return {
        name: lambda: build(False),
        f"{name} (XLA)": lambda: build(True),
    }
