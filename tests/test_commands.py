"""The commands that pages and examples print are there, and take what is printed.

Nothing is run but the parsers of the scripts.
"""

import argparse
import re
import runpy
import shlex
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ("*.md", "docs/**/*.md", "benchmarks/*.md", "keras_nam/**/*.md")
FENCE = re.compile(r"```(?:bash|console)\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"(?<!`)`((?:python|make|pip)\s[^`]+)`")
# Words that stand for any other, and one that is allowed there.
ANY = {"TASK": "reverse", "SEED": "0", "NAME": "lsam"}
# What a script does not know goes to another one.
HANDS_ON = {
    "ibert_table": "ibert_generalization",
    "long_range_table": "long_range",
    "tune_distributed": "tune",
}


def commands():
    """Every command that is printed somewhere, with the place."""
    found = {}
    for path in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
        text = path.read_text()
        lines = [" ".join(command.split()) for command in INLINE.findall(text)]
        for block in FENCE.findall(text):
            console = "\n$ " in f"\n{block}"
            for line in block.splitlines():
                if not console or line.startswith("$ "):
                    lines.append(line.removeprefix("$ "))
        found.update(dict.fromkeys(lines, path.name))
    for path in sorted(ROOT.glob("examples/*.py")):
        text = path.read_text().replace("\\\\\n", "")
        found.update(
            dict.fromkeys(re.findall(r"^    (python .*)", text, re.M), path.name)
        )
    for command, place in found.items():
        words = [ANY.get(word, word) for word in shlex.split(command, comments=True)]
        yield pytest.param(words, id=f"{place}: {command}")


class ParsedError(Exception):
    """Raised by a parser instead of going on."""


def rest_of(script, arguments, monkeypatch):
    """What is left of the arguments when a script has parsed them."""
    parse = argparse.ArgumentParser.parse_known_args

    def parse_and_stop(self, *args):
        raise ParsedError(parse(self, *args)[1])

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parse_and_stop)
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    monkeypatch.syspath_prepend(ROOT / "examples")
    try:
        runpy.run_path(str(script), run_name="__main__")
    except ParsedError as parsed:
        return parsed.args[0]
    finally:
        monkeypatch.undo()
    raise AssertionError(f"{script} has no parser")


@pytest.mark.parametrize("words", commands())
def test_a_command_that_is_printed_can_be_given(words, monkeypatch):
    program, *arguments = words
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        for argument in arguments:
            assert argument in targets or argument.startswith("BENCH_ARGUMENTS=")
    elif program == "pip":
        extras = [re.findall(r"\[(.*)\]", argument) for argument in arguments]
        known = metadata("keras-nam").get_all("Provides-Extra")
        assert {name for names in extras for name in names} <= {*known}
    elif program == "python":
        if arguments[0] == "-m":
            module = arguments.pop(0) and arguments.pop(0)
            path = ROOT / module.replace(".", "/")
            script = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        else:
            script = ROOT / arguments.pop(0)
        assert script.is_file()
        if not arguments:
            return
        rest = rest_of(script, arguments, monkeypatch)
        if rest:
            script = script.with_stem(HANDS_ON[script.stem])
            assert not rest_of(script, rest, monkeypatch)
    else:
        assert program == "curl"
