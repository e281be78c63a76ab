"""Packaging of keras_nam; tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages
from setuptools import setup
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).parent

EXTRAS = {
    # tensorflow-datasets imports importlib_resources without declaring it.
    "datasets": ["tensorflow-datasets>=4.9.8", "importlib_resources"],
    # keras-tuner imports TensorBoard, and scikit-learn and SciPy for its Bayesian
    # optimization, without declaring them.
    "tuner": ["keras-tuner>=1.4.7,<1.5", "scikit-learn", "scipy", "tensorboard"],
    "plots": ["matplotlib>=3.7"],
    # What `tf.summary` writes histograms and images with, and draws.
    "tensorboard": ["tensorboard", "matplotlib>=3.7"],
    # The handwritten digits that come with it.
    "images": ["scikit-learn"],
    # Converters, and the runtimes that the tests try what they make in.
    "export": ["ai-edge-litert", "onnx", "onnxruntime", "tf2onnx"],
    # The server of the examples. Older releases of aiohttp have known holes.
    "serve": ["aiohttp>=3.14.5", "msgspec>=0.20", "orjson>=3.11"],
}
EXTRAS["all"] = sorted({r for extra in EXTRAS.values() for r in extra})
EXTRAS["test"] = sorted(
    {*EXTRAS["all"]}
    # The other backend of Keras that the tests run on.
    | {"hypothesis", "jax", "pytest>=8", "pytest-timeout", "pytest-xdist", "ruff"}
)
# What `make docs` builds the pages with, runs their tutorials, and tests both.
EXTRAS["docs"] = sorted(
    {*EXTRAS["images"], *EXTRAS["plots"], *EXTRAS["tuner"]}
    | {"ipykernel", "jupytext", "latex2mathml", "mkdocs-material>=9.6,<10"}
    | {"mkdocstrings-python>=2", "nbconvert", "playwright", "pytest>=8"}
    | {"pytest-timeout", "ruff", "ziamath"}
)


def readme():
    """The README without pictures and links that only a checkout has."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"!\[[^]]*\]\((?!https?:)[^)]*\)\n*", "", text)
    return re.sub(r"\[([^]]*)\]\((?!https?:)[^)]*\)", r"\1", text)


class EditableWheel(editable_wheel):
    """Only a checkout has the option `--golden` of its tests, see tests/plugin."""

    def run(self):
        name = "keras_nam_test_plugin"
        self.distribution.packages.append(name)
        self.distribution.package_dir = {name: "tests/plugin"}
        self.distribution.entry_points = {"pytest11": [f"{name} = {name}"]}
        # What was prepared before has no entry point.
        self.dist_info_dir = None
        super().run()


setup(
    name="keras-nam",
    version="0.2.0",
    description="Readable and writable memories for Keras: neural attention memory",
    long_description=readme(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords=[
        "deep learning",
        "keras",
        "tensorflow",
        "linear attention",
        "memory-augmented neural networks",
        "neural attention memory",
        "neural Turing machine",
        "recurrent neural networks",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    packages=find_packages(include=["keras_nam", "keras_nam.*"]),
    package_data={"keras_nam.models": ["preset_files/*"]},
    python_requires=">=3.10",
    # The oldest of these are tried by `make test-oldest`.
    install_requires=["tensorflow>=2.18", "keras>=3.12", "numpy"],
    extras_require=EXTRAS,
    cmdclass={"editable_wheel": EditableWheel},
)
