"""Docstrings in Keras' form as Markdown, their equations as LaTeX."""

import ast
import re
import textwrap

import griffe

# What stands in a section as `name: text`, rather than as prose.
NAMED = ("Args", "Attributes", "Call arguments", "Raises")
SECTION = re.compile(rf"^({'|'.join(NAMED)}|Returns|Examples?|References?):$")
# What examples use without importing it, as Keras' own do.
IMPORTS = {
    "keras": "import keras",
    "np": "import numpy as np",
    "ops": "from keras import ops",
    "keras_nam": "import keras_nam",
}
FENCE = re.compile(r"^```")
NAMES = ("cos", "omega", "prod", "rho", "sin", "sum", "tanh")
SIGNS = {"...": r"\dots ", "<-": r"\leftarrow ", "*": r"\odot ", ".": r"\cdot "}
TOKEN = re.compile(
    r"\.\.\.|<-|[A-Za-z][A-Za-z0-9]*(?:_(?:\w+|\([^)]*\)|\{[^}]*\}))?'?|\d+|\s+|."
)


def symbol(name):
    """`p_w`, `softmax_z`, `write_gate` or `omega` in LaTeX."""
    prime = "'" * name.endswith("'")
    base, _, below = name.rstrip("'").partition("_")
    if len(base) > 1 and below.isalpha() and len(below) > 1:
        return rf"\mathrm{{{base}\ {below}}}"
    if base in NAMES:
        base = rf"\{base}"
    elif len(base) > 1:
        base = rf"\mathrm{{{base}}}"
    below = below.strip("{}").removeprefix("(").removesuffix(")")
    if re.fullmatch(r"[a-z]{3,}", below):
        below = rf"\mathrm{{{below}}}"
    return base + prime + (f"_{{{below}}}" if below else "")


def formula(text):
    """One side of an equation in LaTeX."""
    # Signs bring spaces of their own, and hats stand behind what wears them.
    text = re.sub(r" *([-+=*/]|<-) *", r"\1", text)
    text = re.sub(r"(\w+)\^(?=[\s)^]|$)", r"HAT\1", text)
    # Words side by side are prose.
    text = re.sub(
        r"\b(?!sum|prod|sin|cos)[a-z]{2,}(?:,? [a-z]{2,})+\b(?!_)",
        lambda match: match[0] if "omega, rho" in match[0] else f'"{match[0]}"',
        text,
    )
    pieces = []
    for index, part in enumerate(text.split('"')):
        if index % 2:
            pieces.append(rf"\text{{{part}}}")
            continue
        for token in TOKEN.findall(part):
            if token.startswith("HAT"):
                pieces.append(rf"\hat{{{symbol(token[3:])}}}")
            elif token[0].isalpha():
                pieces.append(symbol(token))
            else:
                pieces.append(SIGNS.get(token, r"\," if token.isspace() else token))
    return "".join(pieces)


def equations(block):
    """An indented block of equations, with remarks behind four spaces, in LaTeX."""
    rows = []
    for line in block.splitlines():
        line, _, remark = re.sub(r"(?<=\S) {4,}", "\t", line.strip()).partition("\t")
        left, sign, right = re.match(r"(?:(.*?)\s+(=|<-)\s+)?(.*)", line).groups("")
        remark = rf"\quad\text{{{remark}}}" if remark else "{}"
        sign = formula(sign)
        # An empty last cell would be taken for the end of the rows.
        rows.append(f"{formula(left)} & {sign} {formula(right)} & {remark}")
    return "$$\n\\begin{array}{rll}\n" + " \\\\\n".join(rows) + "\n\\end{array}\n$$"


def named_items(lines):
    """`name: text` with indented further lines, as a list."""
    text = textwrap.dedent("\n".join(lines))
    return re.sub(r"^([\w*][\w*, ]*):(?=\s)", r"- **`\1`**:", text, flags=re.MULTILINE)


def imports(code):
    """The lines that an example needs before it in a new session."""
    used = re.findall(r"(?<![\w.])(\w+)\.", "\n".join(code))
    lines = [line for name, line in IMPORTS.items() if name in used]
    return [*(line for line in lines if line not in code), ""] if lines else []


def to_markdown(docstring):
    """A docstring in Keras' form as Markdown."""
    result, lines = [], docstring.splitlines()
    while lines:
        line = lines.pop(0)
        if FENCE.match(line):
            end = lines.index("```") + 1
            result += [line, *imports(lines[:end]), *lines[:end]]
            del lines[:end]
        elif section := SECTION.match(line):
            result += [f"**{section[1]}**", ""]
            if lines and lines[0].startswith("    "):
                end = next((i for i, x in enumerate(lines) if x[:1].strip()), None)
                body, lines = lines[:end], [] if end is None else lines[end:]
                if section[1] in NAMED:
                    result.append(named_items(body))
                else:
                    result.append(textwrap.dedent("\n".join(body)))
                result.append("")
        elif line.startswith("    ") and result and not result[-1]:
            end = next((i for i, x in enumerate(lines) if x[:1].strip()), len(lines))
            block = textwrap.dedent("\n".join([line, *lines[:end]])).rstrip()
            del lines[:end]
            prose = block.startswith("- ") or result[-2:-1] == [""]
            result += [block if prose else equations(block), ""]
        else:
            result.append(line)
    return "\n".join(result)


class KerasDocstrings(griffe.Extension):
    """Rewrites all docstrings before mkdocstrings sees them."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)

    def on_module(self, *, mod, **kwargs):
        """Shows what a package imports on the first use."""
        if "_MODULES" in mod.members:
            for name, module in ast.literal_eval(str(mod["_MODULES"].value)).items():
                mod.set_member(name, griffe.Alias(name, f"{mod.path}.{module}.{name}"))
