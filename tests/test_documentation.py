"""What docstrings and pages print runs as printed, and gives what they say it gives."""

import ast
import importlib
import inspect
import io
import re
import textwrap
import tokenize
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import keras_nam

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
    if FENCE.search(path.read_text())
]
# What examples of docstrings use without importing it, as Keras' own do.
KNOWN = {"keras": keras, "keras_nam": keras_nam, "np": np, "ops": ops}
# What others return or raise, and what is there to be subclassed.
WITHOUT_EXAMPLE = {
    "datasets.LengthPartition",
    "datasets.LongRangeInfo",
    "distribution.WorkerLostError",
    "tuning.SearchOutcome",
}
# What compiles a training loop, a search or a SavedModel.
DEAR = (
    "SequenceAccuracy",
    "causal_lm",
    "export_causal_lm",
    "LengthCurriculum",
    "MemorySummary",
    "SharpenHeads",
    "choose_sharpness",
    "export_masked_lm",
    "export_teachable",
    "export_text_model",
    "fit_few_shot",
    "fit_multi_worker",
    "generate",
    "masked_lm",
    "search",
    "search_results",
    "sharpen_controller",
)


def docstrings():
    """The docstrings of the package that have examples, by the place they stand at."""
    for path in sorted(ROOT.glob("keras_nam/**/*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                name = getattr(node, "name", "module")
                if FENCE.search(text):
                    marks = [pytest.mark.slow] if name in DEAR else []
                    yield pytest.param(text, id=f"{module}.{name}", marks=marks)


class Check(ast.NodeTransformer):
    """Compares values with the comments that stand behind or below them.

    A comment that begins like a value is one; `...` in a string stands for anything,
    and what follows a colon or a semicolon explains it.
    """

    def __init__(self, code):
        self.comments = {}
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                text = token.string.removeprefix("#").strip()
                if re.match(r"[-\d.('\"\[{]|array\(|(True|False|None)\b", text):
                    line, column = token.start
                    below = not token.line[:column].strip()
                    self.comments[line - below] = text

    def check(self, value, node):
        comment = self.comments.pop(node.end_lineno, None)
        if comment is None:
            return None
        call = ast.Call(ast.Name("check", ast.Load()), [value, ast.Constant(comment)])
        call.keywords = []
        return ast.copy_location(ast.Expr(call), node)

    def visit_Expr(self, node):
        return self.check(node.value, node) or node

    def visit_Assign(self, node):
        value = ast.parse(ast.unparse(node.targets[0]), mode="eval").body
        check = self.check(value, node)
        return node if check is None else [node, check]


def parse(comment):
    """The value that a comment says, or several of them."""
    names = {"array": np.array, "int32": "int32", "__builtins__": {}}
    try:
        return eval(comment, names)
    except SyntaxError:
        return eval(re.split(r"[:;] ", comment)[0], names)


def agree(found, said):
    if isinstance(said, dict):
        return found.keys() == said.keys() and all(
            agree(found[k], said[k]) for k in said
        )
    if isinstance(said, str):
        pattern = ".*".join(map(re.escape, said.split("...")))
        return isinstance(found, str) and bool(re.fullmatch(pattern, found, re.DOTALL))
    if said is None or isinstance(said, bytes):
        return found == said
    if isinstance(said, tuple | list):
        return len(found) == len(said) and all(map(agree, found, said))
    found, said = np.asarray(found), np.asarray(said)
    return found.shape == said.shape and np.allclose(found, said, rtol=1e-4)


def run(text, monkeypatch, folder, names=None, compare_strings=True):
    def check(found, comment):
        said = parse(comment)
        if compare_strings or not isinstance(said, str):
            assert agree(found, said), f"{comment} expected, {found} found"

    monkeypatch.chdir(folder)
    names = {**(names or {}), "check": check}
    for block in FENCE.findall(text):
        code = textwrap.dedent(block)
        transformer = Check(code)
        tree = ast.fix_missing_locations(transformer.visit(ast.parse(code)))
        assert not transformer.comments, "values that nothing is compared with"
        try:
            exec(compile(tree, "example", "exec"), names)
        except ImportError as error:
            if "This needs the package" not in str(error):
                raise
            pytest.skip(str(error))


@pytest.fixture
def downloaded(tmp_path):
    """Stands for the data that examples read and that has to be fetched first."""
    path = tmp_path / "mini-imagenet" / "train" / "n01532829" / "0.png"
    path.parent.mkdir(parents=True)
    keras.utils.save_img(path, np.zeros((4, 4, 3)))
    tfds = pytest.importorskip("tensorflow_datasets")
    with tfds.testing.mock_data(num_examples=4):
        yield


@pytest.mark.parametrize("text", list(docstrings()))
def test_examples_of_docstrings(text, tmp_path, monkeypatch, request):
    if "load_mini_imagenet(" in text or "load_omniglot(" in text:
        request.getfixturevalue("downloaded")
    if (tfds := importlib.util.find_spec("tensorflow_datasets")) and "load(" in text:
        tfds = importlib.import_module("tensorflow_datasets")
        monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    # Which rows come out of a task is left to chance.
    random = request.node.callspec.id.split(".")[-1] in keras_nam.datasets.TASKS
    run(text, monkeypatch, tmp_path, KNOWN, compare_strings=not random)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_examples_of_pages(page, tmp_path, monkeypatch):
    if page.stem == "export":
        pytest.importorskip("tf2onnx", reason='pip install "keras-nam[export]"')
    load_task = keras_nam.datasets.load_task
    monkeypatch.setattr(
        keras_nam.datasets,
        "load_task",
        lambda task, split, size: load_task(task, split, min(size, 256)),
    )
    run(page.read_text(), monkeypatch, tmp_path)


def test_everything_public_has_an_example():
    missing = {
        f"{package}.{name}"
        for package in set(keras_nam.__all__) - {"__version__"}
        for name in getattr(keras_nam, package).__all__
        if callable(thing := getattr(getattr(keras_nam, package), name))
        and not FENCE.search(inspect.getdoc(thing) or "")
    }
    assert missing == WITHOUT_EXAMPLE


def test_what_is_printed_is_compared(tmp_path, monkeypatch):
    for printed in ("(2, 4)", "(2, 3), (2, 4)", "[[1.0]]"):
        code = f"for _ in range(1):\n    np.zeros((2, 3)).shape  # {printed}\n"
        with pytest.raises((AssertionError, TypeError)):
            run(f"```python\n{code}```", monkeypatch, tmp_path, KNOWN)
    code = "np.zeros(3).shape  # (3,): of zeros\n"
    run(f"```python\n{code}```", monkeypatch, tmp_path, KNOWN)
