"""Characters drawn from font files: many classes with one image for each font."""

import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np

from keras_nam.arguments import check_cells
from keras_nam.arguments import check_integer
from keras_nam.arguments import check_optional_integer
from keras_nam.arguments import check_path
from keras_nam.optional import require_package

# Fonts of matplotlib that hold symbols under the codes of letters, or a few symbols.
_SYMBOL_FONTS = ("cmex", "cmsy", "STIXNonUni", "STIXSiz", "DejaVuSansDisplay")
_SYMBOL_FONTS += ("DejaVuSerifDisplay", "LastResort")
_PLAIN_STYLES = ("Regular", "Roman", "Book", "Normal", "Medium")


def glyphs(folder=None, fonts_per_class=20, image_size=28, max_classes=None):
    """Draws the characters of font files: a class for each character.

    Every character that enough fonts have is a class, and its images are one for each
    of the first `fonts_per_class` of them. Of characters that look the same (homoglyphs
    like the Latin and the Greek capital A), all but the first are left out. The result
    is always the same for the same fonts.

    Args:
        folder: String or path. All `.ttf` and `.otf` files below it are used, one face
            of each family. `None` means the fonts that come with matplotlib, every
            face of which counts.
        fonts_per_class: Integer of at least 2, the number of images of each class.
        image_size: Integer of at least 8, height and width of the images.
        max_classes: Positive integer, how many classes to draw at most. `None` means
            all.

    Returns:
        A tuple `(images, labels)`, as `load_images` returns them. Labels number the
        characters in the order of their codes.

    Example:

    ```python
    images, labels = keras_nam.datasets.glyphs(max_classes=30)
    images.shape  # (600, 28, 28, 1)
    ```

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there are no fonts, or no character is in enough of them.
    """
    fonts_per_class = check_integer("fonts_per_class", fonts_per_class, 2)
    image_size = check_integer("image_size", image_size, 8)
    shape = fonts_per_class, image_size, image_size
    check_cells(shape, fonts_per_class=fonts_per_class, image_size=image_size)
    max_classes = check_optional_integer("max_classes", max_classes)
    folder = None if folder is None else check_path("folder", folder)
    drawn = draw_characters(folder, fonts_per_class, image_size, max_classes)
    images = np.stack([image for images in drawn.values() for image in images])
    labels = np.repeat(np.arange(len(drawn), dtype="int32"), fonts_per_class)
    return images[..., None].astype("float32") / 255, labels


def draw_characters(folder, fonts_per_class, image_size, max_classes):
    """Draws characters, see `glyphs`: a dictionary from each to a list of images."""
    fonts = _find_fonts(folder)
    having = {}
    for font in fonts:
        for code in sorted(font.codes):
            having.setdefault(code, []).append(font)
    drawn = {}
    for code in sorted(having):
        if len(having[code]) >= fonts_per_class and _is_visible(code):
            images = _draw(code, having[code], fonts_per_class, image_size)
            if images is not None:
                drawn[code] = images
    codes = _without_homoglyphs(drawn)[:max_classes]
    if not codes:
        raise ValueError(
            f"No character is in {fonts_per_class} of the {len(fonts)} fonts. "
            f"Received: folder={folder}, fonts_per_class={fonts_per_class}"
        )
    return {chr(code): list(drawn[code].values()) for code in codes}


class _Font:
    """A font file, what it is called and which characters it has."""

    def __init__(self, path, face):
        self.path = path
        self.family, self.style = face.family_name, face.style_name
        self.codes = set(face.get_charmap())
        self.sizes = {}

    def at_size(self, size):
        if size not in self.sizes:
            font = require_package("PIL.ImageFont").truetype(str(self.path), size)
            self.sizes[size] = font
        return self.sizes[size]


def _find_fonts(folder):
    own = require_package("matplotlib").get_data_path()
    root = Path(folder or Path(own) / "fonts" / "ttf")
    if not root.is_dir():
        raise ValueError(
            f"Argument `folder` must be a folder of fonts. Received: folder={folder}"
        )
    ft2font = require_package("matplotlib.ft2font")
    fonts = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in (".ttf", ".otf"):
            continue
        if folder is None and path.name.startswith(_SYMBOL_FONTS):
            continue
        try:
            fonts.append(_Font(path, ft2font.FT2Font(str(path))))
        except (RuntimeError, OSError):
            # A damaged file, or a format that cannot be drawn, is no font.
            continue
    if folder is None:
        return fonts
    families = {}
    for font in fonts:
        best = families.setdefault(font.family, font)
        if best.style not in _PLAIN_STYLES and font.style in _PLAIN_STYLES:
            families[font.family] = font
    return [families[family] for family in sorted(families)]


def _is_visible(code):
    return unicodedata.category(chr(code))[0] not in "CZM"


def _draw(code, fonts, count, image_size):
    """Images of a character by font, or `None` if too few fonts can draw it."""
    new_image = require_package("PIL.Image").new
    draw_on = require_package("PIL.ImageDraw").Draw
    images = {}
    baseline = round(0.74 * image_size)
    for font in fonts:
        image = new_image("L", (image_size, image_size))
        try:
            draw_on(image).text(
                (image_size // 2, baseline),
                chr(code),
                fill=255,
                font=font.at_size(round(0.75 * image_size)),
                anchor="ms",
            )
        except (OSError, ValueError):
            continue
        array = np.asarray(image)
        if array.max() > 127:
            images[font.path] = array
            if len(images) == count:
                return images
    return None


def _without_homoglyphs(drawn):
    """The codes that do not look like an earlier one in half of their common fonts."""
    seen, codes = {}, []
    for code, images in drawn.items():
        keys = [(path, (image > 127).tobytes()) for path, image in images.items()]
        alike = Counter(other for key in keys for other in seen.get(key, ()))
        if any(
            count >= len(images.keys() & drawn[other].keys()) / 2
            for other, count in alike.items()
        ):
            continue
        codes.append(code)
        for key in keys:
            seen.setdefault(key, []).append(code)
    return codes
