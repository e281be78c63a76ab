"""The papers' names for model sizes."""

from keras_nam.arguments import check_choice

# Width, heads, layers: BERT's sizes, as both papers use them.
SIZES = {
    "tiny": (128, 2, 2),
    "mini": (256, 4, 4),
    "small": (512, 8, 4),
    "medium": (512, 8, 8),
    "base": (768, 12, 12),
}


def get_size(size):
    """Returns `(width, num_heads, num_layers)` of a size by its name."""
    return SIZES[check_choice("size", size, SIZES)]
