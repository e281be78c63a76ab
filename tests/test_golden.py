"""The layers against arrays computed by the papers' original code.

    pytest -k golden --golden FOLDER

compares with every array file in FOLDER, whatever its sizes, and fails for those of no
known name.
"""

import functools
import re
from contextlib import nullcontext
from pathlib import Path

import golden_baselines
import golden_encoders
import golden_weights as weights
import keras
import numpy as np
import pytest
from backends import differentiate
from keras import ops
from published_heads import PositionClassifier
from published_heads import SharedGateClassifier
from reference_scan import step_by_step

import keras_nam
from keras_nam.layers import CosineClassifier
from keras_nam.layers.cosine_classifier import class_mean
from keras_nam.models import lsam as lsam_model
from keras_nam.ops import memory_scan

GOLDEN = Path(__file__).parent / "golden"
# Files that stand for the others of their kind, which are left to `make test-all`.
VARIED = ("namtm_", "namtmae_", "dnc_", "ibert", "lsam_", "fsl_classifier_")
EVERY_TIME = (
    "dnc_all",
    "fsl_classifier_feature_averaging",
    "fsl_classifier_nam2",
    "fsl_classifier_nam2attention",
    "fsl_classifier_none",
    "ibert2_ae",
    "ibert_ae",
    "lsam_seq",
    "lsam_step",
    "namtm_default_long",
    "namtm_noerase_short",
    "namtm_nojump_short",
    "namtm_onlyjump_short",
    "namtmae_default",
)
VARIANTS = {
    "default": {},
    "nojump": {"use_jump": False},
    "onlyjump": {"use_shift": False},
    "norwprob": {"use_gates": False},
    "noerase": {"use_erase": False},
}
TRAJECTORY = {
    "rpos": "read_position",
    "wpos": "write_position",
    "tape": "tape",
    "keymem": "key_memory",
    "jpos": "jump_position",
    "read": "read",
    "dir_r": "read_direction",
    "dir_w": "write_direction",
    "hidden": "hidden",
}

# The heads that compute what the published code does.
GENERATORS = {
    "none": functools.partial(CosineClassifier, generator="mean"),
    "feature_averaging": functools.partial(
        CosineClassifier, generator="feature_averaging"
    ),
    "attention_based": functools.partial(CosineClassifier, generator="attention"),
    "nam": functools.partial(PositionClassifier, gate_units=None),
    "nam2": functools.partial(SharedGateClassifier, gate_units=None),
    "namattention": functools.partial(
        PositionClassifier, gate_units=None, use_attention=True
    ),
    "nam2attention": functools.partial(
        SharedGateClassifier, gate_units=None, use_attention=True
    ),
}
# Weights of the published code that nothing is computed with.
UNUSED = ("write_logits", "writer1", "writer2")


def edge_unit(arrays):
    def run(x):
        y = keras_nam.ops.unit_normalize(x)
        return {"y": y, "loss": ops.sum(ops.multiply(y, arrays["in.c"]))}

    return run, []


def nam_rw(arrays):
    def run(M, k, v, q, pw, pe, pr):
        key = keras_nam.ops.unit_normalize(k)
        query = keras_nam.ops.unit_normalize(q)
        memory = keras_nam.ops.memory_write(M, key, v, pw, pe)
        y = keras_nam.ops.memory_read(memory, query, pr)
        return {"y": y, "M": memory, "k_unit": key, "q_unit": query}

    return run, []


def lsam_step(arrays):
    heads = arrays["w.q.b"].shape[0]
    cell = keras_nam.layers.LSAMCell(arrays["w.q.b"].size, num_heads=heads)
    cell.build((None, arrays["in.x"].shape[-1]))

    def run(x, h, M):
        y, (_, memory) = cell(x, [h, M])
        return {"y": y, "M": memory}

    return run, weights.lsam(cell)


def lsam_seq(arrays):
    layer = _lsam(arrays, "w.")

    def run(x):
        y, _, memory = layer(x)
        memories = layer.trajectory(x)["memory"]
        return {"y": y, "M": memory, "M_all": memories}

    return run, weights.lsam(layer.cell)


def lsam_decoder(arrays):
    heads, dim = arrays["w.cell.q.b"].shape
    width = heads * dim
    x = keras.Input(arrays["in.x"].shape[1:])
    memory = keras.Input(arrays["in.M0"].shape[1:])
    y = lsam_model.lsam_decoder(x, memory, width, heads)
    model = keras.Model([x, memory], y)
    layer = model.get_layer("decoder")

    def run(x, M0):
        again = keras_nam.layers.LSAM(
            width, num_heads=heads, return_state=True, name="again"
        )
        again.cell = layer.cell
        _, hidden, memory = again(x, initial_state=M0)
        return {"y": model([x, M0]), "h": hidden, "M": memory}

    return run, [
        *weights.lsam(layer.cell, "cell."),
        *weights.dense(model.get_layer("decoder_output"), "o"),
        *weights.norm(model.get_layer("decoder_norm"), "ln"),
    ]


def blsam(arrays):
    width, heads = arrays["w.o.b"].size, 2 * arrays["w.fw.q.b"].shape[0]
    x = keras.Input((None, arrays["in.x"].shape[-1]))
    y, memory = lsam_model.bidirectional_lsam(x, width, heads)
    model = keras.Model(x, [y, memory])

    def run(x):
        y, memory = model(x)
        _, forward, _, backward, _ = model.get_layer("encoder")(x)
        return {"y": y, "h": ops.concatenate([forward, backward], -1), "M": memory}

    return run, _encoder_links(model, "")


def lsam_encoder_layer(arrays):
    width, heads = arrays["w.att.o.b"].size, 2 * arrays["w.att.fw.q.b"].shape[0]
    x = keras.Input((None, width))
    y, memory = lsam_model.lsam_encoder(x, width, heads, arrays["w.ff1.b"].size)
    model = keras.Model(x, [y, memory])

    def run(x):
        y, memory = model(x)
        _, forward, _, backward, _ = model.get_layer("encoder")(x)
        return {"y": y, "h": ops.concatenate([forward, backward], -1), "M": memory}

    return run, [
        *_encoder_links(model, "att."),
        *_feedforward_links(model, ""),
    ]


def lsam_ae(arrays):
    vocabulary, width = arrays["w.emb.E"].shape
    model = keras_nam.models.lsam_tagger(
        vocabulary,
        width=width,
        num_heads=arrays["w.dec.cell.q.b"].shape[0],
        intermediate_dim=arrays["w.enc.ff1.b"].size,
        dropout=0.0,
    )
    decoder = model.get_layer("decoder")
    again = keras_nam.layers.LSAM(
        decoder.cell.units, num_heads=decoder.cell.num_heads, return_state=True
    )
    again.cell = decoder.cell
    inputs = decoder.input
    memory = again(inputs[0], initial_state=inputs[1])[2]
    with_memory = keras.Model(model.inputs, [model.outputs[0], memory])

    def run(tok):
        y, memory = with_memory(tok)
        return {"y": y, "M": memory}

    return run, [
        *weights.embedding(model.get_layer("embedding"), "emb"),
        *_encoder_links(model, "enc.att."),
        *_feedforward_links(model, "enc."),
        *weights.lsam(decoder.cell, "dec.cell."),
        *weights.dense(model.get_layer("decoder_output"), "dec.o"),
        *weights.norm(model.get_layer("decoder_norm"), "dec.ln"),
        *weights.dense(model.get_layer("logits"), "fc"),
    ]


def namtm(arrays, variant):
    tapes, tape_dim = arrays["w.v.b"].shape
    layer = keras_nam.layers.NAMTM(
        arrays["w.o.b"].size,
        num_tapes=tapes,
        tape_length=arrays["out.tape"].shape[2],
        tape_dim=tape_dim,
        return_sequences=True,
        return_state=True,
        **VARIANTS[variant],
    )
    layer.build((None, None, arrays["in.x"].shape[-1]))

    def run(x, tape0=None):
        y, tape, *states = layer(x, initial_state=tape0)
        outputs = {"y": y, "tape": tape}
        trajectory = layer.trajectory(x, initial_state=tape0)
        for name, ours in TRAJECTORY.items():
            if ours in trajectory:
                outputs[f"traj.{name}"] = trajectory[ours]
                if name.startswith("dir") and not layer.cell.use_jump:
                    # The layer keeps an unused slot for the jump.
                    outputs[f"traj.{name}"] = trajectory[ours][..., :3]
        read_position, write_position = states[-4:-2]
        for name, final in (("rpos", read_position), ("wpos", write_position)):
            later = outputs[f"traj.{name}"][:, 1:]
            outputs[f"traj.{name}_next"] = ops.concatenate(
                [later, final[:, None]], axis=1
            )
        if {"read_gate", "write_gate", "erase_gate"} <= set(trajectory):
            gates = [trajectory[f"{n}_gate"] for n in ("read", "write", "erase")]
            outputs["traj.gates"] = ops.stack(gates, axis=-1)
        return outputs

    return run, weights.namtm(layer.cell)


def namtmae(arrays, variant):
    vocabulary, width = arrays["w.emb.E"].shape
    tapes, tape_dim = arrays["w.tm.v.b"].shape
    model = keras_nam.models.namtm_tagger(
        vocabulary,
        width=width,
        num_tapes=tapes,
        tape_length=int(arrays["cfg.L"]),
        tape_dim=tape_dim,
        embedding_dropout=0.0,
        dropout=0.0,
        **VARIANTS[variant],
    )
    return lambda tok: {"y": model(tok)}, [
        *weights.embedding(model.get_layer("embedding"), "emb"),
        *weights.dense(model.get_layer("projection"), "pre"),
        *weights.norm(model.get_layer("input_norm"), "ln_in"),
        *weights.namtm(model.get_layer("namtm").cell, "tm."),
        *weights.norm(model.get_layer("output_norm"), "ln_out"),
        *weights.dense(model.get_layer("logits"), "fc"),
    ]


def nam_attention(arrays, variant):
    heads, dim = arrays["w.q.b"].shape
    layer = keras_nam.layers.NAMAttention(heads, dim, use_gates=variant == "gated")
    shape = (None, None, arrays["in.x"].shape[-1])
    layer.build(shape, shape)

    def run(x, src=None):
        y, memory = layer(x, x if src is None else src, return_memory=True)
        return {"y": y, "M": memory}

    return run, weights.nam_attention(layer)


def lra_nam_attention(arrays):
    def run(q, k, v):
        query, key = (keras_nam.ops.unit_normalize(x) for x in (q, k))
        return {"y": keras_nam.ops.memory_attention(query, key, v)[0]}

    return run, []


def gated_delta_net(arrays):
    """keras-hub's layer, whose weights stand in the order of ours."""
    names = [key.removeprefix("w.") for key in arrays if key.startswith("w.")]
    heads, value_dim = arrays["w.A_log"].size, arrays["w.norm"].size
    keys = arrays["w.qkv"].shape[-1] - heads * value_dim
    layer = keras_nam.layers.GatedDeltaNet(
        heads,
        keys // 2 // int(arrays["cfg.key_heads"]),
        value_dim,
        num_key_heads=int(arrays["cfg.key_heads"]),
        kernel_size=arrays["w.convolution"].shape[-1],
    )
    layer.build(arrays["in.x"].shape)

    def run(x):
        y = layer(x)
        return {"y": y, "loss": ops.sum(y * arrays["in.c"])}

    links = zip(layer.weights, names, strict=True)
    return run, [weights.same(weight, name) for weight, name in links]


def fsl_namblock(arrays, head_class=PositionClassifier):
    places = arrays.get("w.erase_logits", arrays["in.base"][0]).shape[0]
    head = head_class(
        places, num_novel_classes=arrays["in.labels"].shape[-1], gate_units=None
    )
    head.build(arrays["in.feat"].shape)

    def run(feat, labels, base):
        # In the block, unlike in the classifier, base weights have any length.
        memory = head.combine(base, head.encode(feat, base), labels)
        num_base = base.shape[1]
        return {
            "y": memory,
            "w_base": memory[:, :num_base],
            "w_novel": memory[:, num_base:],
        }

    return run, weights.few_shot_gates(head)


def fsl_namblock2(arrays):
    return fsl_namblock(arrays, SharedGateClassifier)


def fsl_favg(arrays):
    def run(feat, labels):
        return {"y": class_mean(feat, labels)}

    return run, []


def fsl_classifier(arrays, generator):
    head = GENERATORS[generator.removesuffix("_dot")](
        num_base_classes=arrays["w.base"].shape[0],
        num_novel_classes=arrays["in.labels"].shape[-1],
        similarity="dotproduct" if generator.endswith("_dot") else "cosine",
    )
    head.build(arrays["in.feat"].shape)

    def run(feat, labels, feat_test, base_ids):
        base = ops.take(head.kernel, base_ids, axis=0)
        room = [[0, 0], [0, head.num_novel_classes], [0, 0]]
        base_only = head.scores(feat_test, ops.pad(base, room))
        return {
            "y": head(feat_test, feat, labels, base_ids),
            "weights": head.episode_memory(feat, labels, base_ids),
            "base_only": base_only[..., : base.shape[1]],
        }

    links = weights.few_shot(head)
    if "nam" in generator:
        links += weights.few_shot_gates(head, "nam.")
    return run, links


SINGLE = (
    {
        f.__name__: f
        for f in (
            edge_unit,
            nam_rw,
            lsam_step,
            lsam_seq,
            lsam_decoder,
            blsam,
            lsam_encoder_layer,
            lsam_ae,
            lra_nam_attention,
            gated_delta_net,
            fsl_namblock,
            fsl_namblock2,
            fsl_favg,
        )
    }
    | golden_encoders.CASES
    | golden_baselines.CASES
)


FAMILIES = {
    namtm: VARIANTS,
    namtmae: VARIANTS,
    nam_attention: ("gated", "ungated"),
    fsl_classifier: (*(f"{name}_dot" for name in GENERATORS), *GENERATORS),
}


def build_case(name, arrays):
    """The function of a file's inputs, and the links of its weights."""
    if name in SINGLE:
        return SINGLE[name](arrays)
    if name.startswith("dnc_"):
        # All that tells the variants apart stands in the file.
        return golden_baselines.dnc(arrays)
    for build, variants in FAMILIES.items():
        for variant in variants:
            if re.fullmatch(f"{build.__name__}_{variant}(_.*)?", name):
                return build(arrays, variant)
    pytest.fail(f"No case is called {name}")


def golden_folder(config):
    return config.getoption("--golden", default=None) or GOLDEN


def golden_files(folder, family):
    """The array files in a folder, those of `memory_scan`'s family or all others."""
    return [
        f
        for f in sorted(folder.glob("*.npz"))
        if f.stem != "datasets" and f.stem.startswith("family_") == family
    ]


def pytest_generate_tests(metafunc):
    if "golden_file" in metafunc.fixturenames:
        folder = golden_folder(metafunc.config)
        files = golden_files(folder, "form" in metafunc.fixturenames)
        # Whoever names a folder wants all of it.
        marks = [pytest.mark.slow] if folder == GOLDEN else []
        metafunc.parametrize(
            "golden_file",
            [
                pytest.param(
                    file,
                    id=file.stem,
                    marks=marks
                    if file.stem.startswith(VARIED) and file.stem not in EVERY_TIME
                    else [],
                )
                for file in files
            ],
        )
        compiled = pytest.param(True, id="xla", marks=marks)
        metafunc.parametrize("jit_compile", [pytest.param(False, id="eager"), compiled])
        if "form" in metafunc.fixturenames:
            forms = [
                pytest.param(form, marks=[] if form == "chunked" else marks)
                for form in FORMS
            ]
            metafunc.parametrize("form", forms)


def test_golden(golden_file, jit_compile):
    arrays = dict(np.load(golden_file))
    name = golden_file.stem
    for key in [key for key in arrays if key.startswith("grad.")]:
        arrays[f"{'gin' if key == 'grad.x' else 'gw'}.{key[5:]}"] = arrays.pop(key)
    run, links = build_case(name, arrays)
    plain = {k[2:]: v for k, v in arrays.items() if k.startswith("w.")}
    for link in links:
        link.variable.assign(link.load(plain))
    inputs = {k[3:]: v for k, v in arrays.items() if k.startswith("in.")}
    inputs.pop("c", None)

    def evaluate(inputs):
        outputs = run(**inputs)
        return outputs.pop("loss", ops.sum(ops.square(outputs["y"]))), outputs

    outputs, (input_gradients,), gradients = differentiate(
        evaluate,
        [inputs],
        [link.variable for link in links],
        jit_compile,
        trace=jit_compile,
    )

    for key, ours in outputs.items():
        key = key if key.startswith("traj.") else f"out.{key}"
        if key in arrays:
            _assert_close(key, ours, arrays[key], 2e-5, 1.0)
    missing = {k for k in arrays if k.startswith(("out.", "traj."))} - {
        k if k.startswith("traj.") else f"out.{k}" for k in outputs
    }
    assert not missing

    tolerance = 2e-3 if "onlyjump" in name else 1e-4
    scale = 1e-2 * float(arrays.get("meta.grad_scale", 0.0))
    has_gradients = any(k.startswith("gin.") for k in arrays)
    for key, ours in input_gradients.items() if has_gradients else ():
        if ours is None:
            continue
        _assert_close(f"gin.{key}", ours, arrays[f"gin.{key}"], tolerance, scale)
    compared = set()
    for link, gradient in zip(links, gradients, strict=True):
        for key, ours in link.sort(gradient).items():
            key, _, part = key.partition("@")
            reference = arrays[f"gw.{key}"]
            if part:
                rows = ours.shape[0]
                reference = reference[:rows] if part == "top" else reference[-rows:]
            if key.split(".")[-2:-1] == ["act"]:
                dead = reference[..., ours.shape[-1] :]
                assert np.abs(dead).max(initial=0.0) <= 1e-4 * scale
                reference = reference[..., : ours.shape[-1]]
            _assert_close(
                f"gw.{key}", ours.reshape(reference.shape), reference, tolerance, scale
            )
            compared.add(f"gw.{key}")
    for key in {k for k in arrays if k.startswith("gw.")} - compared:
        assert set(key.split(".")) & set(UNUSED), key
        assert np.abs(arrays[key]).max() <= 1e-4 * scale


FORMS = {
    "chunked": {"chunk_size": 16},
    "auto": {},
    "token": {"implementation": "token"},
    "recurrent": {"implementation": "recurrent"},
    "portable": {"implementation": "chunked"},
    "steps": {},
}


def test_golden_family(golden_file, form, jit_compile):
    arrays = dict(np.load(golden_file))
    inputs = {k[3:]: v for k, v in arrays.items() if k.startswith("in.")}
    c, d = inputs.pop("c"), inputs.pop("d")
    scan = step_by_step if form == "steps" else memory_scan

    def evaluate(inputs):
        arguments = {
            "query": inputs["query"],
            "key": inputs["key"],
            "value": inputs["value"],
            "write_gate": inputs.get("write"),
            # What has no gate of its own erases as much as it writes, or nothing.
            "erase_gate": inputs.get("erase", inputs.get("write", 0.0)),
            "initial_memory": inputs["M0"],
            "decay": inputs["log_decay"],
            **FORMS[form],
        }
        scope = keras_nam.ops.PortableScope() if form == "portable" else nullcontext()
        with scope:
            y, memory = scan(**arguments)
        return ops.sum(y * c) + ops.sum(memory * d), {"y": y, "M": memory}

    outputs, (gradients,), _ = differentiate(
        evaluate,
        [inputs],
        jit_compile=jit_compile,
        # Laid out step by step, a graph takes long to trace.
        trace=jit_compile and form != "steps",
    )
    for key, reference in arrays.items():
        kind, _, key = key.partition(".")
        if kind != "in":
            ours = {"out": outputs, "grad": gradients}[kind][key]
            _assert_close(f"{kind}.{key}", ours, reference, 1e-4, 0.0)


def test_the_golden_folder_is_not_empty(request):
    folder = golden_folder(request.config)
    assert golden_files(folder, False) + golden_files(folder, True)


def _assert_close(name, ours, reference, tolerance, floor):
    ours = np.asarray(ours)
    assert ours.shape == reference.shape, name
    largest = np.abs(ours - reference).max(initial=0.0)
    allowed = tolerance * max(floor, np.abs(reference).max(initial=0.0))
    assert largest <= allowed, f"{name}: off by {largest:.3g}, {allowed:.3g} allowed"


def _lsam(arrays, prefix):
    heads = arrays[f"{prefix}q.b"].shape[0]
    layer = keras_nam.layers.LSAM(
        arrays[f"{prefix}q.b"].size,
        num_heads=heads,
        return_sequences=True,
        return_state=True,
    )
    layer.build((None, None, arrays["in.x"].shape[-1]))
    return layer


def _encoder_links(model, prefix):
    encoder = model.get_layer("encoder")
    return [
        *weights.lsam(encoder.forward_layer.cell, f"{prefix}fw."),
        *weights.lsam(encoder.backward_layer.cell, f"{prefix}bw."),
        *weights.dense(model.get_layer("encoder_output"), f"{prefix}o"),
    ]


def _feedforward_links(model, prefix):
    return [
        *weights.dense(model.get_layer("intermediate"), f"{prefix}ff1"),
        *weights.dense(model.get_layer("feedforward"), f"{prefix}ff2"),
        *weights.norm(model.get_layer("encoder_norm"), f"{prefix}ln2"),
    ]
