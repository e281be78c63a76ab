"""Every cell of the table in `docs/export.md` is tried as it stands there."""

import re

import export_cases
import numpy as np
import pytest
from export_cases import CASES
from export_cases import FORMATS

PACKAGES = {"onnx": ("tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("name", list(CASES))
def test_what_the_table_says(name, form, tmp_path):
    for package in PACKAGES.get(form, ()):
        pytest.importorskip(package, reason='pip install "keras-nam[export]"')
    how = getattr(CASES[name], form)
    model = export_cases.build(CASES[name])
    _, make = FORMATS[form]
    if isinstance(how, export_cases.Cannot):
        with pytest.raises(Exception):  # noqa: B017, PT011, each converter has its own
            make(model, tmp_path, export_cases.Works())
        return
    run = make(model, tmp_path, how)
    for size in [export_cases.FIXED] if how.fixed else export_cases.SIZES:
        inputs = export_cases.draw_inputs(model, *size)
        np.testing.assert_allclose(
            run(inputs), model(inputs), atol=1e-5, rtol=1e-4, err_msg=f"{size}"
        )


def test_examples_of_the_page_run(tmp_path, monkeypatch):
    for package in ("tf2onnx", "onnx"):
        pytest.importorskip(package, reason='pip install "keras-nam[export]"')
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", export_cases.PAGE.read_text(), re.DOTALL)
    exec(compile("\n".join(code), "docs/export.md", "exec"), {})
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.onnx",
        "model.tflite",
        "reverse_text",
    }


def test_the_page_has_this_table():
    text = export_cases.PAGE.read_text()
    printed = text.split(export_cases.START)[1].split(export_cases.END)[0]
    assert printed == export_cases.table(), "run python tests/export_cases.py"
