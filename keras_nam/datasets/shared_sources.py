"""What several rooms read: files in a folder, stored data sets, digits, Brown."""

from keras_nam.arguments import check_boolean
from keras_nam.arguments import check_path
from keras_nam.optional import require_package
from keras_nam.optional import tfds

BROWN_FILES = "c[a-r][0-9][0-9]"

# What each source expects, and where users get it.
EXPECTED = {
    "imdb": (
        "the folders train/pos, train/neg, test/pos and test/neg with one text file "
        "per review, as in aclImdb_v1.tar.gz from "
        "https://ai.stanford.edu/~amaas/data/sentiment"
    ),
    "reviews": (
        "the file movieReviewSnippets_GroundTruth.txt, from hutto_ICWSM_2014.tar.gz "
        "in the source archive of the Python package vaderSentiment"
    ),
    "spam": (
        "folders like easy_ham and spam with one mail per file, as in the SpamAssassin "
        "public corpus, https://spamassassin.apache.org/old/publiccorpus"
    ),
    "fashion": (
        "the four gzipped IDX files of Fashion-MNIST, like train-images-idx3-ubyte.gz, "
        "from https://github.com/zalandoresearch/fashion-mnist"
    ),
    "aan": (
        "the files new_aan_pairs.train.tsv, new_aan_pairs.eval.tsv and "
        "new_aan_pairs.test.tsv, from lra_release.gz of the Long Range Arena, "
        "https://github.com/google-research/long-range-arena"
    ),
    "brown": (
        "the files ca01 to cr09 of the Brown corpus, as `nltk.download('brown')` "
        "of the Python package nltk puts them into nltk_data/corpora/brown"
    ),
}


def find_files(source, folder, pattern):
    """Returns the files of that name under a folder, sorted, at least one.

    Args:
        source: String. A key of `EXPECTED`.
        folder: String or path.
        pattern: String. A file name, or a path whose last parts match, with the
            wildcards of `pathlib`.

    Returns:
        A list of paths.
    """
    folder = check_path("folder", folder)
    if not folder.is_dir():
        raise ValueError(
            f"Argument `folder` must be a folder that holds {EXPECTED[source]}. "
            f"There is no such folder. Received: folder={str(folder)!r}"
        )
    found = sorted(path for path in folder.rglob(pattern) if path.is_file())
    if not found:
        raise ValueError(
            f"Argument `folder` must hold {EXPECTED[source]}. Nothing in it is named "
            f"{pattern!r}. Received: folder={str(folder)!r}"
        )
    return found


def read_text(path):
    """Reads a text file, which must be in UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Files must be texts in UTF-8. Received: {str(path)!r}, where {error}"
        ) from error


def read_brown(path):
    """Reads a file of the Brown corpus, a document, without its tags.

    Returns:
        A list of sentences, each with blanks between its words.
    """
    lines = (line.split() for line in read_text(path).split("\n"))
    sentences = (" ".join(word.rpartition("/")[0] for word in line) for line in lines)
    return [sentence for sentence in sentences if sentence]


def read_digits():
    """Reads scikit-learn's handwritten digits, which need no download.

    Returns:
        A tuple `(images, labels)`: float64 from 0 to 1 of shape `(1797, 8, 8)`, and
        integers.
    """
    digits = require_package("sklearn.datasets").load_digits()
    # Intensities come as 0 to 16.
    return digits.images / 16, digits.target


def read_stored(name, split, keys, folder=None, download=False):
    """Reads a split of a data set that TensorFlow Datasets has on disk.

    Args:
        name: String. The name of the data set.
        split: String. What `tfds.load` takes.
        keys: Sequence of strings. The features to return.
        folder: String or path, its `data_dir`. `None` means its default.
        download: Boolean. Whether to download what is not on disk.

    Returns:
        A list with a list of numpy values for each key.
    """
    download = check_boolean("download", download)
    folder = None if folder is None else str(check_path("folder", folder))
    missing = AssertionError, FileNotFoundError, tfds.core.DatasetNotFoundError
    try:
        dataset = tfds.load(name, split=split, data_dir=folder, download=download)
    except missing as error:
        raise ValueError(
            f"TensorFlow Datasets has no data set '{name}' in its folder, "
            f"{folder or tfds.core.constants.DATA_DIR}. Pass `download=True` to "
            f"download it, or the folder that has it. Received: folder={folder!r}, "
            f"download={download}"
        ) from error
    rows = list(tfds.as_numpy(dataset))
    return [[row[key] for row in rows] for key in keys]
