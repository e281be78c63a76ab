"""The package on the other backends of Keras, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import backend_cases
import numpy as np
import pytest
from backends import needs_tensorflow

ROOT = Path(__file__).parent.parent
# Compiling takes most of the time.
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
# One of each kind, and the shortest. The other files have the same layers.
GOLDEN = [
    "fsl_classifier_namattention",
    "fsl_namblock",
    "ibert_ae",
    "lsam_decoder",
    "lsam_seq",
    "nam_attention_gated",
    "nam_rw",
    "namtm_default_short",
    "namtm_noerase_short",
    "namtm_nojump_short",
]
WITHOUT_TENSORFLOW = """
import sys

sys.modules["tensorflow"] = None
import numpy as np
import keras_nam

layer = keras_nam.layers.NAM(4, num_heads=2)
assert layer(np.zeros((2, 3, 4), "float32")).shape == (2, 4)
x, y, weight = keras_nam.datasets.load_task("reverse", "train", 4)
"""
LIVING_GRAPHS = """
import gc, weakref
import keras, torch
from keras_nam.backend import custom_gradient

@custom_gradient
def square(x, scale):
    y = scale * x * x
    return (y, x), lambda dy, dx: (2.0 * scale * x * dy + dx, (x * x * dy).sum())

x = torch.ones(3, requires_grad=True)
gc.disable()
y, same = square(x, torch.tensor(2.0, requires_grad=True))
((y * 3.0).sum() + same.sum()).backward()
assert x.grad.tolist() == [13.0, 13.0, 13.0]
graph = weakref.ref(y)
del y, same
assert graph() is None
"""

TITLES = {"jax": "JAX", "torch": "PyTorch"}

pytestmark = needs_tensorflow


@pytest.fixture(params=["jax", "torch"])
def run(request):
    """Runs Python under another backend, which has to be installed."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")

    def run_python(*arguments):
        result = subprocess.run(
            [sys.executable, "-W", "ignore", *arguments],
            env={**os.environ, **ENVIRONMENT, "KERAS_BACKEND": request.param},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
        return result.stdout

    run_python.backend = request.param
    return run_python


ALL = list(backend_cases.FILES)
SOME = ["nam"]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(SOME, id="some"),
        pytest.param(ALL[::2], id="one half", marks=pytest.mark.slow),
        pytest.param(ALL[1::2], id="the other half", marks=pytest.mark.slow),
    ],
)
def test_every_model_does_what_the_page_says(run, names, tmp_path):
    run("tests/backend_cases.py", str(tmp_path), *names)
    different = backend_cases.differences(tmp_path, names)
    printed = backend_cases.printed_column(TITLES[run.backend])
    expected = backend_cases.column(different)
    tried = [line for line, of in backend_cases.LINES.items() if set(of) & set(names)]
    assert [printed[line] for line in tried] == [expected[line] for line in tried], (
        different
    )
    losses = np.load(tmp_path / "training.npz")["losses"]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
def test_golden_arrays(run):
    names = " or ".join(f"{name}-" for name in GOLDEN)
    how = "xla" if run.backend == "jax" else "eager"
    report = run(
        *("-m", "pytest", "-m", "", "-p", "no:cacheprovider", "tests/test_golden.py"),
        *("-k", f"({names}) and {how}"),
    )
    assert f"{len(GOLDEN)} passed" in report


def test_tensorflow_is_not_needed(run):
    run("-c", WITHOUT_TENSORFLOW)


@pytest.mark.slow
def test_benchmarks_run_on_jax(run, tmp_path):
    if run.backend != "jax":
        pytest.skip("steps are written for TensorFlow and JAX")
    table = run(
        *("-m", "benchmarks.scaling", "--only", "nam"),
        *("--lengths", "8", "--batch", "2"),
        *("--contenders", "NAM (XLA)", "keras GRU (XLA)", "--rounds", "1"),
        *("--plot", str(tmp_path / "plot.png")),
    )
    assert "keras GRU (XLA) | " in table
    assert " ms, " in table
    assert (tmp_path / "plot.png").exists()
    assert "| chunks of 64 |" in run("-m", "benchmarks.precision", "--length", "9")


def test_gradients_hold_no_graph_alive(run):
    if run.backend != "torch":
        pytest.skip("only PyTorch has graphs that hold on to tensors")
    run("-c", LIVING_GRAPHS)


@pytest.mark.slow
def test_a_saved_model_that_learns_needs_tensorflow(run):
    run(
        "-c",
        "import pytest, keras_nam\n"
        "model = keras_nam.models.FewShotClassifier(\n"
        "    keras_nam.models.conv_features((8, 8, 1), (2, 3), 2),\n"
        "    keras_nam.layers.CosineClassifier(4),\n"
        ")\n"
        "with pytest.raises(RuntimeError, match='KERAS_BACKEND=tensorflow'):\n"
        "    keras_nam.models.export_teachable(model, 'nowhere')\n",
    )


def test_every_model_is_on_the_page():
    names = [name for line in backend_cases.LINES.values() for name in line]
    assert sorted(names) == sorted(backend_cases.FILES)
    # Where `test_saved_files.py` compares them.
    assert backend_cases.printed_column("TensorFlow") == backend_cases.column({})
