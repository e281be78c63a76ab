"""Models from the layers of this package."""

from keras_nam.models.causal_lm import bits_by_position
from keras_nam.models.causal_lm import causal_lm
from keras_nam.models.classifiers import matching_classifier
from keras_nam.models.classifiers import sequence_classifier
from keras_nam.models.features import conv_features
from keras_nam.models.features import residual_features
from keras_nam.models.few_shot import FewShotClassifier
from keras_nam.models.few_shot_training import fit_few_shot
from keras_nam.models.generation import export_causal_lm
from keras_nam.models.generation import generate
from keras_nam.models.ibert import ibert_tagger
from keras_nam.models.lsam import lsam_tagger
from keras_nam.models.masked_lm import export_masked_lm
from keras_nam.models.masked_lm import fill_masks
from keras_nam.models.masked_lm import masked_lm
from keras_nam.models.namtm import namtm_tagger
from keras_nam.models.presets import from_preset
from keras_nam.models.presets import list_presets
from keras_nam.models.sharpness import choose_sharpness
from keras_nam.models.sharpness import sharpen_controller
from keras_nam.models.sharpness import with_sharpness
from keras_nam.models.sizes import SIZES
from keras_nam.models.streaming import StreamingModel
from keras_nam.models.teachable import export_teachable
from keras_nam.models.text_export import export_text_model
from keras_nam.models.token_tagger import token_tagger

__all__ = [
    "SIZES",
    "FewShotClassifier",
    "StreamingModel",
    "bits_by_position",
    "causal_lm",
    "choose_sharpness",
    "conv_features",
    "export_causal_lm",
    "export_masked_lm",
    "export_teachable",
    "fill_masks",
    "export_text_model",
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
]
