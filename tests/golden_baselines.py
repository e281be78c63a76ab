"""The DNC and the Stack-RNN against the golden arrays: layers, models and links."""

import golden_weights as weights
import keras
import numpy as np
from golden_weights import Link
from keras import ops

import keras_nam
from keras_nam import baselines

# From our names to those of the files.
DNC_TRAJECTORY = {
    "memory": "memory",
    "read": "read_vectors",
    "usage": "usage",
    "allocation_weights": "alloc_weights",
    "write_weights": "write_weights",
    "read_weights": "read_weights",
    "precedence": "precedence",
    "link": "link",
    "forward_weights": "forward_weights",
    "backward_weights": "backward_weights",
}


def dnc(arrays):
    layer = baselines.DNC(
        arrays["out.y"].shape[-1],
        memory_size=int(arrays["cfg.cells"]),
        word_size=int(arrays["cfg.word"]),
        num_read_heads=int(arrays["cfg.heads"]),
        controller_units=arrays["cfg.lstm_units"].astype(int).tolist(),
        use_masking=bool(arrays["cfg.mask"]),
        use_deallocation=bool(arrays["cfg.dealloc"]),
        use_sharpening=bool(arrays["cfg.sharp"]),
        mask_min=float(arrays["cfg.mask_min"]),
        clip=float(arrays["cfg.clip"]),
        return_sequences=True,
    )
    layer.build((None, None, arrays["in.x"].shape[-1]))

    def run(x):
        y = layer(x)
        trajectory = layer.trajectory(x)
        outputs = {name: trajectory[ours] for ours, name in DNC_TRAJECTORY.items()}
        eps = float(arrays["cfg.eps"])
        usage = trajectory["usage"] * (1.0 - eps) + eps
        order = ops.cast(ops.argsort(usage, axis=-1), "float32")
        loss = ops.sum(y * arrays["in.c"])
        return {"y": y, "free_list": order, "loss": loss, **outputs}

    cell = layer.cell
    links = []
    for i, controller in enumerate(cell.controllers):
        links += _lstm(controller, i)
    interface, output = cell.interface_dense, cell.output_dense
    links += [
        _transposed(interface.kernel, ["controller_to_controls.weight"]),
        weights.same(interface.bias, "controller_to_controls.bias"),
        _transposed(output.kernel, ["controller_to_out.weight", "read_to_out.weight"]),
        _sum_of(output.bias, ["controller_to_out.bias", "read_to_out.bias"]),
    ]
    return run, links


def base_stackrnn(arrays):
    vocabulary, width = arrays["w.emb.E"].shape
    core = baselines.StackRNN(
        width,
        num_stacks=arrays["w.h2s.b"].size,
        stack_depth=int(arrays["cfg.S"]),
        return_sequences=True,
    )
    model = keras_nam.models.token_tagger(
        [core, keras.layers.ReLU()], vocabulary, width
    )
    cell = core.cell
    tops = ["s2h0.W", "s2h1.W"]
    return lambda tok: {"y": model(tok)}, [
        *weights.embedding(model.get_layer("embedding"), "emb"),
        weights.same(cell.input_dense.kernel, "i2h.W"),
        _sum_of(cell.input_dense.bias, ["i2h.b", "h2h.b", "s2h0.b", "s2h1.b"]),
        weights.same(cell.recurrent_dense.kernel, "h2h.W"),
        _rows(cell.stack_dense.kernel, tops),
        weights.same(cell.action_dense.kernel, "h2a.W"),
        weights.same(cell.action_dense.bias, "h2a.b"),
        *weights.dense(cell.push_dense, "h2s"),
        *weights.dense(cell.output_dense, "h2o"),
        *weights.dense(model.get_layer("logits"), "fc"),
    ]


def _lstm(controller, i):
    """A layer of the controller, whose gates come in another order there."""
    units = controller.units
    blocks = np.split(np.arange(4 * units), 4)
    forget, write, output, candidate = blocks
    # Ours are write, forget, candidate, output.
    columns = np.concatenate([write, forget, candidate, output])
    back = np.argsort(columns)
    inputs = [f"controller.in_to_all_{i}.weight"]
    if i:
        inputs.append(f"controller.prev_to_all_{i - 1}.weight")
    bias = f"controller.in_to_all_{i}.bias"
    return [
        _transposed(controller.kernel, inputs, columns, back),
        _transposed(
            controller.recurrent_kernel,
            [f"controller.out_to_all_{i}.weight"],
            columns,
            back,
        ),
        Link(
            controller.bias,
            lambda arrays: arrays[bias][columns],
            lambda gradient: {bias: gradient[back]},
        ),
    ]


def _transposed(variable, names, columns=slice(None), back=slice(None)):
    """A kernel whose rows are those of one or several matrices `(out, in)`."""

    def load(arrays):
        sizes[:] = [arrays[name].shape[1] for name in names]
        return np.concatenate([arrays[n].T for n in names])[:, columns]

    def sort(gradient):
        parts = np.split(np.asarray(gradient)[:, back], np.cumsum(sizes)[:-1])
        return {name: part.T for name, part in zip(names, parts, strict=True)}

    sizes = []
    return Link(variable, load, sort)


def _rows(variable, names):
    """A kernel whose rows are those of several matrices `(in, out)`, as many each."""
    return Link(
        variable,
        lambda arrays: np.concatenate([arrays[name] for name in names]),
        lambda gradient: dict(
            zip(names, np.split(np.asarray(gradient), len(names)), strict=True)
        ),
    )


def _sum_of(variable, names):
    """A bias that stands for several ones, which have the same gradient."""
    return Link(
        variable,
        lambda arrays: sum(arrays[name] for name in names),
        lambda gradient: dict.fromkeys(names, gradient),
    )


CASES = {"base_stackrnn": base_stackrnn}
