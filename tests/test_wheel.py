"""The wheel holds the package alone, and works beside TensorFlow alone."""

import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import keras_nam

ROOT = Path(__file__).parent.parent
USE = """
import sys

# As if no extra was installed.
absent = "PIL aiohttp ai_edge_litert hypothesis importlib_resources jax keras_tuner "
absent += "matplotlib onnx onnxruntime pytest scipy sklearn tensorboard "
absent += "tensorflow_datasets tf2onnx torch"
sys.modules.update(dict.fromkeys(absent.split()))
import keras
import keras_nam

assert keras_nam.__file__.startswith(sys.argv[1]), keras_nam.__file__
core = keras_nam.layers.NAM(8, num_heads=2, return_sequences=True)
model = keras_nam.models.token_tagger(core, vocabulary_size=16, width=8)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
x, y, weight = keras_nam.datasets.load_task("reverse", "train", 32)
model.fit(x, y, sample_weight=weight, verbose=0)
model.export("exported", verbose=False)
assert keras_nam.models.from_preset("reverse").answer("1234") == "4321"
for name in set(keras_nam.__all__) - {"__version__"}:
    getattr(keras_nam, name)
"""


def run(*command, **arguments):
    result = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=200,
        **arguments,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # The build writes beside the sources.
    sources = folder / "sources"
    sources.mkdir()
    for name in ("keras_nam", "pyproject.toml", "setup.py", "README.md", "LICENSE"):
        (sources / name).symlink_to(ROOT / name)
    run(
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        sources,
        "-w",
        folder,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (n for n in names if n.endswith("dist-info/METADATA"))
        text = archive.read(metadata).decode()
    files = [*ROOT.glob("keras_nam/**/*.py"), *ROOT.glob("keras_nam/*/preset_files/*")]
    expected = {path.relative_to(ROOT) for path in files}
    assert {Path(n) for n in names if ".dist-info/" not in n} == expected
    assert not [n for n in names if n.endswith("entry_points.txt")]
    # Pictures and links that an index could not show.
    assert not re.findall(r"\]\((?!https?:)", text)
    assert f"Version: {keras_nam.__version__}" in text


@pytest.mark.slow
def test_the_installed_wheel_trains_and_exports(wheel, tmp_path):
    site = tmp_path / "site"
    run("-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel)
    run("-c", USE, site, cwd=tmp_path, env={"PYTHONPATH": str(site)})
    assert (tmp_path / "exported").is_dir()


def test_the_version_is_that_of_the_distribution():
    assert keras_nam.__version__ == importlib.metadata.version("keras-nam")
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+)", text, re.MULTILINE)[1] == keras_nam.__version__
