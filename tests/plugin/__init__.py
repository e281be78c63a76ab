"""The option `--golden` of this repository's tests.

pytest reads options before it knows where the tests are: given a folder elsewhere, it
takes that for the place of the tests and never sees their `conftest.py`. So the option
comes with the installation, and exists only where the tests are.
"""

from pathlib import Path


def pytest_addoption(parser):
    if Path("tests", "test_golden.py").is_file():
        parser.addoption(
            "--golden",
            type=Path,
            help="folder of arrays to compare with (default: tests/golden)",
        )
