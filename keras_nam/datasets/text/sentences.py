"""Sentences from files: the Penn Treebank, the Brown corpus, or any texts."""

import re

from keras_nam.arguments import check_choice
from keras_nam.arguments import check_path
from keras_nam.datasets.shared_sources import BROWN_FILES
from keras_nam.datasets.shared_sources import read_brown
from keras_nam.datasets.shared_sources import read_text
from keras_nam.datasets.splits import CORPUS_SPLITS

# Corpora that have a file for each split, which must not be read as one: word and
# character files of the Penn Treebank as prepared by T. Mikolov, and any others.
_SPLIT_FILES = ("ptb.{}.txt", "ptb.char.{}.txt", "{}.txt")
_SPLIT_NAMES = {"train": "train", "validation": "valid", "test": "test"}
_SPELLED_OUT = "ptb.char.*.txt"
_TREES = "wsj_[0-9][0-9][0-9][0-9].mrg"

# The sections of the Wall Street Journal that language models use for each split.
_SECTIONS = {"train": range(21), "validation": range(21, 23), "test": range(23, 25)}
_TREE_PIECES = re.compile(r"[()]|[^\s()]+")

_EXPECTED = (
    "the files ptb.train.txt, ptb.valid.txt and ptb.test.txt of the Penn Treebank, its "
    "parsed files like wsj_0001.mrg, the files ca01 to cr09 of the Brown corpus (as "
    "`nltk.download('brown')` of the Python package nltk puts them into "
    "nltk_data/corpora/brown), or text files *.txt with a sentence on each line"
)


def load_sentences(path, split="train"):
    r"""Reads the sentences of a corpus, as strings of words with blanks between.

    `path` is a file, or a folder that has, in it or below, the files of one of these.
    The first one found is read:

    | files | corpus |
    |---|---|
    | `ptb.train.txt`, `ptb.valid.txt`, `ptb.test.txt` | Penn Treebank, prepared text |
    | `ptb.char.train.txt` and so on | the same, spelled out |
    | `train.txt`, `valid.txt`, `test.txt` | any texts with splits of their own |
    | `wsj_0001.mrg` and so on | Penn Treebank, the words of the parsed trees |
    | `ca01` to `cr09` | Brown corpus; its tags are left out |
    | `*.txt` | any texts |

    Texts have one sentence on each line; lines without a word are left out.

    Args:
        path: String or path of a file or a folder.
        split: String, one of `"train"`, `"validation"`, `"test"`. Only the Penn
            Treebank and texts with splits of their own have others than `"train"`.
            For parsed trees these are sections 0 to 20, 21 to 22, and 23 to 24.

    Returns:
        A list of strings.

    Example:

    ```python
    import pathlib
    import tempfile

    folder = pathlib.Path(tempfile.mkdtemp())
    _ = (folder / "tales.txt").write_text("the dog runs \n\n the cat sleeps\n")
    keras_nam.datasets.load_sentences(folder)  # ['the dog runs', 'the cat sleeps']
    ```

    Raises:
        ValueError: If there is nothing to read, or a file is not text in UTF-8.
    """
    check_choice("split", split, CORPUS_SPLITS)
    path = check_path("path", path)
    if not path.exists():
        raise ValueError(
            f"Argument `path` must be a text file, or a folder that holds {_EXPECTED}. "
            f"There is no such file or folder. Received: path={str(path)!r}"
        )
    files = _find_files(path, split) if path.is_dir() else [path]
    if split != "train" and files == [path]:
        _refuse_split(path, split)
    sentences = [sentence for file in files for sentence in _read(file)]
    if not sentences:
        raise ValueError(
            f"There is no sentence in the {len(files)} files for split '{split}'. "
            f"Received: path={str(path)!r}"
        )
    return sentences


def _find_files(folder, split):
    for name in _SPLIT_FILES:
        if _below(folder, name.format("train")):
            name = name.format(_SPLIT_NAMES[split])
            found = _below(folder, name)
            if len(found) != 1:
                raise ValueError(
                    f"Argument `path` must be a folder with one file {name!r} for "
                    f"split '{split}'. Received: path={str(folder)!r} with "
                    f"{[str(file) for file in found]}"
                )
            return found
    trees = _below(folder, _TREES)
    if trees:
        sections = _SECTIONS[split]
        return [file for file in trees if int(file.name[4:6]) in sections]
    for name in (BROWN_FILES, "*.txt"):
        found = _below(folder, name)
        if found:
            if split != "train":
                _refuse_split(folder, split)
            return found
    raise ValueError(
        f"Argument `path` must be a text file, or a folder that holds {_EXPECTED}. "
        f"There are none. Received: path={str(folder)!r}"
    )


def _below(folder, name):
    return sorted(file for file in folder.rglob(name) if file.is_file())


def _refuse_split(path, split):
    raise ValueError(
        "Argument `split` must be 'train' for texts that have no splits of their own; "
        f"`partition_by_length` holds a part out. Received: split={split!r}, "
        f"path={str(path)!r}"
    )


def _read(file):
    """Reads the sentences of a file, in the way that belongs to its name."""
    if file.match(BROWN_FILES):
        return read_brown(file)
    text = read_text(file)
    if file.match(_TREES):
        return _words_of_trees(text)
    lines = (line.split() for line in text.split("\n"))
    if file.match(_SPELLED_OUT):
        lines = ("".join(characters).split("_") for characters in lines)
    sentences = (" ".join(words) for words in lines)
    return [sentence for sentence in sentences if sentence]


def _words_of_trees(text):
    sentences, words, depth, label = [], [], 0, None
    for piece in _TREE_PIECES.findall(text):
        if piece == "(":
            depth += 1
            label = None
        elif piece == ")":
            depth -= 1
            if depth == 0:
                sentences.append(" ".join(words))
                words = []
        elif label is None:
            label = piece
        elif label != "-NONE-":  # Traces of words that were moved or left out.
            words.append(piece)
    return [sentence for sentence in sentences if sentence]
