"""Between the layout of the golden arrays and the weights of the layers.

A `Link` ties one weight to the golden arrays that it is made of.
"""

from dataclasses import dataclass

import numpy as np


@dataclass
class Link:
    """One weight and its golden arrays.

    Attributes:
        variable: The weight.
        load: Function from the arrays of a file (names without their first part) to
            the value of the weight.
        sort: Function from the weight's gradient to a dictionary of golden gradients.
    """

    variable: object
    load: callable
    sort: callable


def same(variable, name, shape=None):
    """A weight that is one golden array, up to its shape."""
    return Link(
        variable,
        lambda arrays: np.reshape(arrays[name], variable.shape),
        lambda gradient: {name: gradient},
    )


def dense(layer, name):
    return [same(layer.kernel, f"{name}.W"), same(layer.bias, f"{name}.b")]


def norm(layer, name):
    return [same(layer.gamma, f"{name}.gamma"), same(layer.beta, f"{name}.beta")]


def embedding(layer, name):
    return [same(layer.embeddings, f"{name}.E")]


def lsam(cell, prefix=""):
    """The fused kernels of an LSAM: golden W has the rows of both."""
    sizes = {n: cell.num_heads if n in "wr" else cell.units for n in "qkvwr"}

    def rows(part):
        features = cell.kernel.shape[0]
        return {"top": slice(0, features), "bottom": slice(features, None)}[part]

    def link(variable, letter, part=None):
        pick = (lambda x: x[rows(part)]) if part else (lambda x: x)

        def load(arrays):
            columns = [pick(arrays[f"{prefix}{n}.{letter}"]) for n in sizes]
            rows = variable.shape[:-1]
            return np.concatenate([np.reshape(c, (*rows, -1)) for c in columns], -1)

        def sort(gradient):
            stops = np.cumsum(list(sizes.values()))[:-1]
            parts = np.split(gradient, stops, axis=-1)
            suffix = f"@{part}" if part else ""
            return {
                f"{prefix}{n}.{letter}{suffix}": g
                for n, g in zip(sizes, parts, strict=True)
            }

        return Link(variable, load, sort)

    return [
        link(cell.kernel, "W", "top"),
        link(cell.recurrent_kernel, "W", "bottom"),
        link(cell.bias, "b"),
    ]


def namtm(cell, prefix=""):
    """The projections of a NAMTM; dead slots of the golden action map are left out."""

    def action(variable, letter):
        name = f"{prefix}act.{letter}"
        slots = variable.shape[-1] // cell.num_tapes

        def sort(gradient):
            split = gradient.reshape(*variable.shape[:-1], cell.num_tapes, slots)
            return {name: split}

        return Link(
            variable,
            lambda arrays: np.reshape(arrays[name][..., :slots], variable.shape),
            sort,
        )

    links = [
        same(cell.controller.kernel, f"{prefix}lstm.Wx"),
        same(cell.controller.recurrent_kernel, f"{prefix}lstm.Wh"),
        same(cell.controller.bias, f"{prefix}lstm.b"),
        *dense(cell.value_dense, f"{prefix}v"),
        *dense(cell.output_dense, f"{prefix}o"),
        action(cell.action_dense.kernel, "W"),
        action(cell.action_dense.bias, "b"),
    ]
    if cell.use_jump:
        links += dense(cell.key_dense, f"{prefix}k")
        links += dense(cell.query_dense, f"{prefix}q")
    return links


def nam_attention(layer):
    links = [
        *dense(layer.query_dense, "q"),
        *dense(layer.key_dense, "k"),
        *dense(layer.value_dense, "v"),
        *dense(layer.output_dense, "o"),
    ]
    if layer.use_gates:
        links += [*dense(layer.write_dense, "w"), *dense(layer.read_dense, "r")]
    return links


def few_shot(head, prefix=""):
    """The class table and scoring of a few-shot head."""
    links = [
        same(head.kernel, f"{prefix}base"),
        same(head.scale, f"{prefix}scale"),
        same(head.bias, f"{prefix}bias"),
    ]
    if hasattr(head, "mean_scale"):
        links.append(same(head.mean_scale, f"{prefix}diag_avg"))
    if hasattr(head, "attention"):
        attention = head.attention
        links += [
            *dense(attention.query_dense, f"{prefix}att.q"),
            same(attention.keys, f"{prefix}att.keys"),
            same(attention.scale, f"{prefix}att.scale"),
            same(head.attended_scale, f"{prefix}diag_att"),
        ]
    return links


def few_shot_gates(head, prefix=""):
    """What says how much a published head erases: a network, or logits."""
    if hasattr(head, "erase_logits"):
        return [same(head.erase_logits, f"{prefix}erase_logits")]
    return [
        same(head.eraser.hidden_kernel, f"{prefix}eraser1.W"),
        same(head.eraser.hidden_bias, f"{prefix}eraser1.b"),
        same(head.eraser.kernel, f"{prefix}eraser2.W"),
        same(head.eraser.bias, f"{prefix}eraser2.b"),
    ]
