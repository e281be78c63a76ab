"""Packaging of keras_nam; tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages
from setuptools import setup

ROOT = Path(__file__).parent


def read_version():
    for line in (ROOT / "keras_nam" / "version.py").read_text().splitlines():
        if line.startswith("__version__"):
            return line.split('"')[1]
    raise RuntimeError("keras_nam/version.py holds no __version__")


# The option `--golden` of the tests, see tests/plugin.
TEST_PLUGIN = "keras_nam_test_plugin"

EXTRAS = {
    # tensorflow-datasets imports importlib_resources without declaring it.
    "datasets": ["tensorflow-datasets>=4.9.8", "importlib_resources"],
    # keras-tuner imports TensorBoard, and scikit-learn and SciPy for its Bayesian
    # optimization, without declaring them.
    "tuner": ["keras-tuner>=1.4.7", "scikit-learn", "scipy", "tensorboard"],
    "plots": ["matplotlib>=3.7"],
    # What `tf.summary` writes histograms and images with, and draws.
    "tensorboard": ["tensorboard", "matplotlib>=3.7"],
    # The handwritten digits that come with it.
    "images": ["scikit-learn"],
    # Converters, and the runtimes that the tests try what they make in.
    "export": ["ai-edge-litert", "onnx", "onnxruntime", "tf2onnx"],
    # The server of the examples.
    "serve": ["aiohttp>=3.9"],
}
EXTRAS["test"] = sorted(
    {requirement for extra in EXTRAS.values() for requirement in extra}
    # The other backend of Keras that the tests run on.
    | {"hypothesis", "jax", "pytest", "pytest-xdist", "ruff"}
)
EXTRAS["all"] = sorted({r for extra in EXTRAS.values() for r in extra})

setup(
    name="keras-nam",
    version=read_version(),
    description="Readable and writable memories for Keras: neural attention memory",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=[*find_packages(include=["keras_nam", "keras_nam.*"]), TEST_PLUGIN],
    package_dir={TEST_PLUGIN: "tests/plugin"},
    entry_points={"pytest11": [f"{TEST_PLUGIN} = {TEST_PLUGIN}"]},
    python_requires=">=3.10",
    install_requires=["tensorflow>=2.18", "keras>=3.10", "numpy"],
    extras_require=EXTRAS,
)
