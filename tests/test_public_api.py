"""The names that users import, and what importing them costs."""

import subprocess
import sys

import keras_nam

NAMES = {
    "baselines": [
        "ALiBiAttention",
        "ConvolutionalEncoder",
        "DNC",
        "DNCCell",
        "ENCODERS",
        "LSTMAttentionEncoder",
        "LSTMStack",
        "NTM",
        "NTMCell",
        "RotaryAttention",
        "StackRNN",
        "StackRNNCell",
        "TransformerEncoder",
        "UniversalTransformerEncoder",
        "XLNetAttention",
        "XLNetEncoder",
        "make_encoder",
    ],
    "callbacks": ["LengthCurriculum", "MemorySummary", "SharpenHeads", "StopOnNaN"],
    "ops": [
        "PortableScope",
        "memory_attention",
        "memory_read",
        "memory_read_set",
        "memory_scan",
        "memory_write",
        "memory_write_set",
        "unit_normalize",
    ],
    "layers": [
        "ClassToken",
        "CosineClassifier",
        "GatedDeltaNet",
        "IBERTEncoder",
        "LSAM",
        "LSAMCell",
        "LSTMEncoder",
        "LinearAttention",
        "MeanPooling",
        "NAM",
        "NAMAttention",
        "NAMCell",
        "NAMClassifier",
        "NAMTM",
        "NAMTMCell",
        "NAMTransformerEncoder",
        "PositionEmbedding",
        "TokenEmbedding",
        "TransformerBlock",
    ],
    "models": [
        "FewShotClassifier",
        "SIZES",
        "StreamingModel",
        "bits_by_position",
        "causal_lm",
        "choose_sharpness",
        "conv_features",
        "export_causal_lm",
        "export_masked_lm",
        "export_teachable",
        "export_text_model",
        "fill_masks",
        "fit_few_shot",
        "from_preset",
        "generate",
        "ibert_tagger",
        "list_presets",
        "lsam_tagger",
        "masked_lm",
        "matching_classifier",
        "namtm_tagger",
        "residual_features",
        "sequence_classifier",
        "sharpen_controller",
        "token_tagger",
        "with_sharpness",
    ],
    "distribution": ["WorkerLostError", "fit_multi_worker"],
    "metrics": [
        "FalsePositiveRate",
        "GroupAccuracy",
        "LengthBucket",
        "MaskedPerplexity",
        "SequenceAccuracy",
        "base_novel_auc",
        "base_novel_curve",
        "confidence_interval",
        "rejection_auroc",
        "rejection_false_positive_rate",
    ],
    "tokenizers": [
        "ByteTokenizer",
        "CharacterTokenizer",
        "SymbolTokenizer",
        "Tokenizer",
        "WordTokenizer",
    ],
    "tuning": [
        "HyperCausalLM",
        "HyperFewShot",
        "HyperIBERT",
        "HyperLSAM",
        "HyperNAMTM",
        "HyperNAMTransformer",
        "HyperSequenceModel",
        "SearchOutcome",
        "narrow_space",
        "plot_search",
        "search",
        "search_results",
        "search_table",
    ],
    "visualization": [
        "plot_gates",
        "plot_head_entropy",
        "plot_memory",
        "plot_tape_heads",
        "trajectory",
    ],
}


def test_public_names():
    for module, names in NAMES.items():
        assert sorted(getattr(keras_nam, module).__all__) == names
        for name in names:
            assert getattr(getattr(keras_nam, module), name) is not None


def test_import_takes_no_optional_package():
    code = """
import sys
import keras
# Keras itself may have imported it.
for name in [name for name in sys.modules if name.startswith("matplotlib")]:
    del sys.modules[name]
before = set(sys.modules)
import keras_nam.visualization
optional = {"tensorflow_datasets", "keras_tuner", "tensorboard"}
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(new & (optional | {"matplotlib"})))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
