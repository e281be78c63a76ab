"""Texts that language models go on with."""

import keras
import numpy as np
import pytest

from keras_nam import baselines
from keras_nam import layers
from keras_nam import models
from keras_nam import tokenizers
from keras_nam.models import generation

CORES = {
    "nam": lambda: layers.NAM(8, num_heads=2, return_sequences=True),
    "decay": lambda: layers.NAM(8, num_heads=2, decay="head", return_sequences=True),
    "lstm": lambda: keras.layers.LSTM(8, return_sequences=True),
    "transformer": lambda: [
        layers.PositionEmbedding(),
        *(
            layers.NAMTransformerEncoder(16, 2, use_erase=True, decay="head")
            for _ in range(2)
        ),
    ],
}
# A softmax of a window here and there between memories that forget.
CORES["hybrid"] = lambda: [
    layers.NAMTransformerEncoder(16, 2, use_erase=True, decay="head"),
    layers.TransformerBlock(baselines.RotaryAttention(2, 4, window=6), 16),
    layers.NAMTransformerEncoder(16, 2, use_erase=True, decay="head"),
]
PROMPTS = ["ab", "c", "hgfedcba" * 5, "abcd"]
LETTERS = [*"abcdefgh"]


def make(core="decay", tokenizer=None, **kwargs):
    keras.utils.set_random_seed(1)
    tokenizer = tokenizer or tokenizers.CharacterTokenizer(LETTERS)
    # Wide, so that what follows depends on what there is.
    draw = keras.initializers.RandomNormal(stddev=2.0)
    model = models.causal_lm(
        CORES[core](), tokenizer, 8, embeddings_initializer=draw, **kwargs
    )
    kernel = model.get_layer("next_token").kernel
    kernel.assign(10 * kernel)
    # Letters alone, or any byte, so that a text is as long as asked for.
    symbols = tokenizer.vocabulary_size()
    others = np.r_[1:6, symbols - 1] if symbols < 100 else []
    bias = model.get_layer("next_token").bias
    bias.assign(np.where(np.isin(np.arange(symbols), others), -1e4, 0))
    return model


@pytest.fixture(scope="module")
def model():
    return make(packed=True)


def check_greedy(model, tokenizer, prompt, text, count):
    """Every token that was added is the best one after all before it."""
    assert text.startswith(prompt)
    assert len(text) == len(prompt) + count
    tokens = tokenizer.tokenize(text).numpy()[:-1]
    logits = np.array(model(tokens[None])[0])
    logits[:, [tokenizer.pad_token_id, tokenizer.start_token_id]] = -np.inf
    logits[:, tokenizer.mask_token_id] = -np.inf
    np.testing.assert_array_equal(logits.argmax(-1)[-count - 1 : -1], tokens[-count:])


@pytest.mark.parametrize(
    "core",
    [
        pytest.param(core, marks=[pytest.mark.slow] if core == "transformer" else [])
        for core in CORES
    ],
)
def test_the_text_is_that_of_recomputing_all(core):
    model, tokenizer = make(core), tokenizers.CharacterTokenizer(LETTERS)
    texts = models.generate(model, PROMPTS, 40, temperature=0)
    for prompt, text in zip(PROMPTS, texts, strict=True):
        check_greedy(model, tokenizer, prompt, text, 40)
    # What was read before is in what follows.
    assert len({text[-20:] for text in texts}) > 1


@pytest.mark.parametrize("kwargs", [{"temperature": 0}, {"seed": 3}])
def test_prompts_do_not_depend_on_those_beside_them(model, kwargs):
    texts = models.generate(model, PROMPTS, 20, **kwargs)
    if "seed" in kwargs:
        # Each row has numbers of its own, by its place.
        assert models.generate(model, PROMPTS[:1], 20, **kwargs) == texts[:1]
        assert models.generate(model, [PROMPTS[0]] * 2, 20, **kwargs)[0] == texts[0]
    else:
        for prompt, text in zip(PROMPTS, texts, strict=True):
            assert models.generate(model, [prompt], 20, **kwargs) == [text]


def test_seeds_repeat(model):
    first, again = (models.generate(model, ["a", "a"], 30, seed=5) for _ in range(2))
    assert first == again
    assert first[0] != first[1]
    assert first != models.generate(model, ["a", "a"], 30, seed=6)
    assert models.generate(model, ["a"], 30) != models.generate(model, ["a"], 30)
    # Of one token, that is the best one, there is nothing to draw.
    best = models.generate(model, ["a"], 30, temperature=0)
    assert models.generate(model, ["a"], 30, top_k=1) == best
    assert models.generate(model, ["a"], 30, top_p=1e-6) == best
    assert models.generate(model, ["a"], 30, temperature=1e-4) == best
    for extreme in ({"temperature": 1e-40}, {"top_p": 1e-46}, {"temperature": 1e-300}):
        assert models.generate(model, ["a"], 30, **extreme) == best
    # So hot, all that are allowed are as likely.
    (text,) = models.generate(model, ["a"], 300, temperature=1e300, seed=0)
    assert len(set(text)) > 5


def test_tokens_are_drawn_with_their_probabilities():
    logits = np.log(np.array([[0.1, 0.4, 0.2, 0.3]], "float32"))
    uniform = np.linspace(0, 1, 2000, endpoint=False, dtype="float32")

    def shares(top_k=4, top_p=np.inf):
        drawn = generation._draw(np.repeat(logits, 2000, axis=0), uniform, top_k, top_p)
        return np.bincount(drawn, minlength=4) / 2000

    np.testing.assert_allclose(shares(), [0.1, 0.4, 0.2, 0.3], atol=1e-3)
    np.testing.assert_allclose(shares(top_k=2), [0, 4 / 7, 0, 3 / 7], atol=1e-3)
    np.testing.assert_allclose(shares(top_p=0.75), [0, 4 / 9, 2 / 9, 3 / 9], atol=1e-3)
    np.testing.assert_allclose(shares(top_p=0.3), [0, 1, 0, 0])


def test_stop(model):
    (text,) = models.generate(model, ["ab"], 60, temperature=0)
    new = text[2:]
    assert len(new) > 40
    late = new[35:38]
    (stopped,) = models.generate(model, ["ab"], 60, temperature=0, stop=[late, "zz"])
    assert stopped == "ab" + new[: new.index(late)]
    # What stands in a prompt stops nothing, and each row has its own end.
    texts = models.generate(model, ["ab", "c"], 60, temperature=0, stop=["ab", late])
    for prompt, ours in zip(["ab", "c"], texts, strict=True):
        (whole,) = models.generate(model, [prompt], 60, temperature=0)
        rest = whole[len(prompt) :]
        ends = [rest.index(x) for x in ("ab", late) if x in rest]
        assert ours == prompt + rest[: min(ends, default=None)]


def test_an_end_ends():
    tokenizer = tokenizers.WordTokenizer(["the", "dog"])
    model = make(tokenizer=tokenizer)
    bias = model.get_layer("next_token").bias
    bias.assign(keras.ops.one_hot(tokenizer.end_token_id, 8) * 1e4)
    assert models.generate(model, ["The dog", ""], 5) == ["the dog", ""]


def test_bytes_and_empty_prompts():
    model = make(tokenizer=tokenizers.ByteTokenizer())
    (text,) = models.generate(model, ["h\u00e4"], 3, seed=0)
    assert text.startswith("h\u00e4")
    with pytest.raises(ValueError, match="`prompts`.*at least one token"):
        models.generate(model, ["a", ""], 3)


def test_a_long_prompt_is_read_in_pieces(model, monkeypatch):
    expected = models.generate(model, PROMPTS[2:3], 9, temperature=0)
    monkeypatch.setattr(generation, "PIECE", 7)
    assert models.generate(model, PROMPTS[2:3], 9, temperature=0) == expected


def test_what_cannot_stream_is_refused_by_name():
    block = layers.TransformerBlock(baselines.RotaryAttention(2, 4), 8, name="rotary")
    model = models.causal_lm(block, tokenizers.ByteTokenizer(), 8)
    with pytest.raises(ValueError, match="'rotary_attention'|'rotary'"):
        models.generate(model, ["a"])
    masked = models.masked_lm(
        layers.NAM(8, return_sequences=True), tokenizers.CharacterTokenizer(), 8
    )
    with pytest.raises(ValueError, match="from `causal_lm`"):
        models.generate(masked, ["a"])
    with pytest.raises(ValueError, match="from `masked_lm`"):
        models.fill_masks(make(), ["<mask>"])


def test_training_goes_on_after_a_text():
    model = make("decay", packed=True)
    before = models.generate(model, ["ab"], 10, temperature=0)
    weights = model.get_weights()
    model.set_weights([np.roll(x, 1, axis=-1) for x in weights])
    assert models.generate(model, ["ab"], 10, temperature=0) != before
    model.set_weights(weights)
    assert models.generate(model, ["ab"], 10, temperature=0) == before


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.parametrize("change", ["quantize", "lora"])
def test_a_model_that_was_changed_answers_anew(change):
    model, tokenizer = make("decay"), tokenizers.CharacterTokenizer(LETTERS)
    (before,) = models.generate(model, ["ab"], 10, temperature=0)
    dense = model.get_layer("next_token")
    if change == "quantize":
        model.quantize("int8")
        dense.kernel_scale.assign(-dense.kernel_scale)
    else:
        dense.enable_lora(2)
        noise = np.random.default_rng(0).normal(size=dense.lora_kernel_b.shape)
        dense.lora_kernel_b.assign(100 * noise)
    (after,) = models.generate(model, ["ab"], 10, temperature=0)
    assert after != before
    check_greedy(model, tokenizer, "ab", after, 10)


# The server's test exports one, too.
@pytest.mark.slow
def test_an_exported_model_takes_and_gives_texts(model, tmp_path):
    import tensorflow as tf

    models.export_causal_lm(model, tmp_path / "lm", temperature=0)
    served = tf.saved_model.load(tmp_path / "lm")
    texts = served.generate(tf.constant(PROMPTS), 12, 0)["texts"]
    expected = models.generate(model, PROMPTS, 12, temperature=0)
    assert [text.decode() for text in texts.numpy()] == expected

    # Token by token.
    tokens = served.encode(tf.constant(["ab"]))["tokens"]
    state = served.initial_state(1)
    for _ in range(12):
        results = served.step({"tokens": tokens, **state})
        state = {name: results[name] for name in state}
        logits = results["outputs"][:, -1:].numpy()
        logits[..., [0, 1, 5]] = -np.inf
        tokens = tf.cast(tf.argmax(logits, -1), tf.int32)
        text = served.decode(tokens)["texts"].numpy()[0].decode()
        assert expected[0][2:].startswith(text)
        expected[0] = "ab" + expected[0][2 + len(text) :]


@pytest.mark.slow
def test_an_exported_model_draws_and_ends(tmp_path):
    import tensorflow as tf

    tokenizer = tokenizers.WordTokenizer(["the", "dog"])
    model = make(tokenizer=tokenizer)
    model.get_layer("next_token").bias.assign(np.eye(8)[2] * 1e4)
    models.export_causal_lm(model, tmp_path / "words")
    served = tf.saved_model.load(tmp_path / "words")
    assert served.generate(["The dog", ""], 3, 0)["texts"].numpy()[0] == b"the dog"

    model = make(tokenizer=tokenizers.ByteTokenizer(), packed=True)
    models.export_causal_lm(model, tmp_path / "bytes", top_k=30)
    served = tf.saved_model.load(tmp_path / "bytes")
    texts = [served.generate(["a", "bc"], 9, seed)["texts"] for seed in (1, 1, 2)]
    assert (texts[0] == texts[1]).numpy().all()
    assert (texts[0] != texts[2]).numpy().any()
    assert tf.strings.length(texts[0]).numpy().tolist() == [10, 11]
    with pytest.raises(tf.errors.InvalidArgumentError):
        served.generate([""], 2, 0)


def test_a_text_may_end_where_the_table_of_positions_does():
    tokenizer = tokenizers.CharacterTokenizer(LETTERS)
    core = [layers.PositionEmbedding(20), CORES["nam"]()]
    model = models.causal_lm(core, tokenizer, 8)
    # A mark of the start, a letter, and 18 more.
    texts = models.generate(model, ["a", "abcdefgh"], 11, seed=0)
    assert [text[:1] for text in texts] == ["a", "a"]
    alone = models.generate(model, ["a"], 18, temperature=0)
    assert alone[0].startswith("a")
