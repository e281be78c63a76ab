"""Steps: functions of no argument that run a forward, or forward and backward, pass.

A step returns when its numbers are there. The loss is the mean of the squares of the
outputs; gradients are taken with respect to inputs and weights. On JAX all steps of
Keras are compiled by XLA, which tells what memory they take.
"""

import contextlib

import keras
from keras import ops

HAS_GRAPHS = keras.backend.backend() == "tensorflow"


@contextlib.contextmanager
def full_precision():
    """All digits of float32 in products: GPUs leave some out, unless told otherwise."""
    if HAS_GRAPHS:
        import tensorflow as tf

        config = tf.config.experimental
        before = config.tensor_float_32_execution_enabled()
        config.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            config.enable_tensor_float_32_execution(before)
    else:
        import jax

        with jax.default_matmul_precision("highest"):
            yield


def keras_step(function, inputs, variables=(), jit_compile=False, backward=True):
    """A step of any function of tensors, as a TensorFlow graph or compiled by XLA."""
    make = _tensorflow_step if HAS_GRAPHS else _jax_step
    return make(function, inputs, variables, jit_compile, backward)


def _tensorflow_step(function, inputs, variables, jit_compile, backward):
    import tensorflow as tf

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


def _jax_step(function, inputs, variables, jit_compile, backward):
    import jax

    def loss(inputs, values):
        state = zip(variables, values, strict=True)
        with keras.StatelessScope(state_mapping=list(state)):
            return ops.mean(ops.square(function(inputs)))

    compute = jax.value_and_grad(loss, argnums=(0, 1)) if backward else loss
    operands = inputs, [v.value for v in variables]
    compiled = jax.jit(compute).lower(*operands).compile()

    def step():
        return jax.block_until_ready(compiled(*operands))

    held = compiled.memory_analysis()
    step.megabytes = (held.temp_size_in_bytes + held.output_size_in_bytes) / 2**20
    return step


def layer_step(layer, shape, jit_compile=False):
    """A step of a Keras layer on normal inputs of `shape`."""
    inputs = keras.random.normal(shape, seed=0)
    if not layer.built:
        layer.build((None, None, shape[-1]))
    return keras_step(layer, inputs, layer.trainable_variables, jit_compile)


def torch_step(module, *inputs):
    """The same of a PyTorch module, on numpy arrays."""
    import torch

    inputs = [torch.tensor(x, requires_grad=True) for x in inputs]
    parameters = list(module.parameters()) if hasattr(module, "parameters") else []

    def step():
        loss = module(*inputs).square().mean()
        torch.autograd.grad(loss, [*inputs, *parameters], allow_unused=True)
        return loss.item()

    return step


def products_step(products):
    """A step of bare matrix products and those of their gradients: a lower bound.

    Args:
        products: List of `(rows, columns, inner)`, the sizes of each product.
    """
    if not HAS_GRAPHS:
        raise RuntimeError("measured on TensorFlow alone")
    import tensorflow as tf

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
    """The contenders of one builder `build(jit_compile)`: on TensorFlow two."""
    compiled = {f"{name} (XLA)": lambda: build(True)}
    return {name: lambda: build(False), **compiled} if HAS_GRAPHS else compiled
