"""Every cell of the table in `docs/export.md` is tried as it stands there."""

import export_cases
import numpy as np
import pytest
from export_cases import CASES
from export_cases import FORMATS

PACKAGES = {"onnx": ("tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}


# A loop, and what learns; the others are tried by `make test-all`.
EVERY_TIME = ("`NAM`", "`CosineClassifier` in `FewShotClassifier`")
NAMES = [
    pytest.param(name, marks=[] if name in EVERY_TIME else [pytest.mark.slow])
    for name in CASES
]


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("name", NAMES)
def test_what_the_table_says(name, form, tmp_path):
    for package in PACKAGES.get(form, ()):
        pytest.importorskip(package, reason='pip install "keras-nam[export]"')
    how = getattr(CASES[name], form)
    model = export_cases.build(CASES[name])
    _, make = FORMATS[form]
    run = make(model, tmp_path, how)
    for size in [export_cases.FIXED] if how.fixed else export_cases.SIZES:
        inputs = export_cases.draw_inputs(model, *size)
        np.testing.assert_allclose(
            run(inputs), model(inputs), atol=1e-5, rtol=1e-4, err_msg=f"{size}"
        )


def test_the_page_has_this_table():
    text = export_cases.PAGE.read_text()
    printed = text.split(export_cases.START)[1].split(export_cases.END)[0]
    assert printed == export_cases.table(), "run python tests/export_cases.py"
