"""Docstrings in Keras' form as Markdown: what `make docs` shows of them."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "tools"))

from docstrings import equations  # noqa: E402
from docstrings import formula  # noqa: E402
from docstrings import to_markdown  # noqa: E402


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("M_{t-1}", r"M_{t-1}"),
        ("d_jump", r"d_{\mathrm{jump}}"),
        ("write_gate", r"\mathrm{write\ gate}"),
        ("k^ k^^T", r"\hat{k}\,\hat{k}^T"),
        ("sum_z w_z v_z k_z^T", r"\sum_{z}\,w_{z}\,v_{z}\,k_{z}^T"),
        ("w * L_ij", r"w\odot L_{ij}"),
        ("w_(i - s)", r"w_{i-s}"),
        ("f(q_s) . f(k_z)", r"f(q_{s})\,\cdot \,f(k_{z})"),
        ("the free slots", r"\text{the free slots}"),
    ],
)
def test_formulas(text, latex):
    assert formula(text) == latex


def test_equations_are_rows_with_remarks():
    block = "j  = K q^            look up\nK <- K + 1"
    assert equations(block).splitlines() == [
        "$$",
        r"\begin{array}{rll}",
        r"j & = K\,\hat{q} & \quad\text{look up} \\",
        r"K & \leftarrow  K+1 & {}",
        r"\end{array}",
        "$$",
    ]


def test_sections():
    docstring = """One line.

Args:
    units: Positive integer,
        this here: the size.
    **kwargs: More.

Returns:
    A tensor of shape `(batch, units)`.

Example:

```python
f(
    np.x
)
```

Raises:
    ValueError: If `units: 3` is wrong.
"""
    markdown = """One line.
**Args** - **`units`**: Positive integer, this here: the size.
- **`**kwargs`**: More. **Returns** A tensor of shape `(batch, units)`.
**Example** ```python import numpy as np f( np.x ) ``` **Raises**
- **`ValueError`**: If `units: 3` is wrong."""
    assert to_markdown(docstring).split() == markdown.split()


def test_no_section_of_the_package_is_left_as_it_is():
    for path in ROOT.glob("keras_nam/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                lines = to_markdown(ast.get_docstring(node) or "").splitlines()
                assert "Args:" not in lines
                assert lines.count("$$") % 2 == 0
