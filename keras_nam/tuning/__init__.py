"""Search spaces for Keras Tuner, and searches that survive what kills them.

Keras Tuner is an optional package, so the names are imported on their first use.
"""

from keras_nam.optional import imported_on_use

_MODULES = {
    "HyperCausalLM": "causal_lm",
    "HyperFewShot": "few_shot",
    "HyperIBERT": "ibert",
    "HyperLSAM": "lsam",
    "HyperNAMTM": "namtm",
    "HyperNAMTransformer": "transformer",
    "HyperSequenceModel": "sequence_model",
    "SearchOutcome": "searching",
    "narrow_space": "spaces",
    "plot_search": "plots",
    "search": "searching",
    "search_results": "results",
    "search_table": "results",
}

__all__ = [
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
]

__getattr__, __dir__ = imported_on_use(__name__, _MODULES)
