"""Data that users have in a folder of their own: what it must hold, and finding it."""

from pathlib import Path

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
    folder = Path(folder).expanduser()
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
