"""What MkDocs does here beside rendering `docs`: see the events below."""

import hashlib
import html
import importlib.util
import pickle
import posixpath
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import griffe
import jupytext
from latex2mathml.converter import convert
from mkdocs.structure.files import File
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from traitlets.config import Config

sys.path.insert(0, str(Path(__file__).parent))

from docstrings import KerasDocstrings

ROOT = Path(__file__).parents[2]
SOURCES = sorted(ROOT.glob("keras_nam/**/*.py"))
# Pages that stand elsewhere in the repository.
ELSEWHERE = {
    "index.md": "README.md",
    "speed.md": "benchmarks/README.md",
    "fast-forms.md": "keras_nam/ops/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
LOG = re.compile(r"^(INFO|WARNING):tensorflow:.*\n", re.MULTILINE)
MATH = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)
NO_LINKS = re.compile(r"(<(a|pre|h1|h2|h3)\b.*?</\2>)", re.DOTALL)
CODE = re.compile(r"<code>([\w.]+)</code>")

extensions = griffe.load_extensions(KerasDocstrings())
package = griffe.load("keras_nam", search_paths=[ROOT], extensions=extensions)
API = {
    name: {member: package[name][member] for member in sorted(package[name].exports)}
    for name in sorted(set(package.exports) - {"__version__"})
}
PATHS = {member: f"keras_nam.{name}.{member}" for name in API for member in API[name]}


def first_line(thing):
    return thing.docstring.value.partition("\n")[0] if thing.docstring else ""


def on_config(config):
    """Puts every public name into the navigation."""
    config.nav.append(
        {
            "API reference": [
                {
                    f"keras_nam.{name}": [
                        f"api/{name}/index.md",
                        *({member: f"api/{name}/{member}.md"} for member in members),
                    ]
                }
                for name, members in API.items()
            ]
        }
    )
    return config


def on_files(files, config):
    """Makes the pages of the API, and those of files that stand elsewhere."""

    def add(path, **content):
        files.append(File.generated(config, path, **content))

    for path, source in ELSEWHERE.items():
        add(path, content=(ROOT / source).read_text())
    for path in ROOT.glob("benchmarks/plots/*.png"):
        add(f"plots/{path.name}", abs_src_path=str(path))
    fonts = Path(importlib.util.find_spec("ziamath").origin).parent / "fonts"
    add("fonts/math.ttf", abs_src_path=str(fonts / "STIXTwoMath-Regular.ttf"))
    for name, members in API.items():
        lines = [f"- [`{m}`]({m}.md): {first_line(t)}" for m, t in members.items()]
        docstring = package[name].docstring.value
        text = [f"# keras_nam.{name}", docstring, "\n".join(lines)]
        add(f"api/{name}/index.md", content="\n\n".join(text))
        for member in members:
            add(f"api/{name}/{member}.md", content=f"::: keras_nam.{name}.{member}")
    return files


def on_page_markdown(markdown, page, config, files):
    """Runs tutorials; links to files of the repository become links to their pages."""
    here = page.file.src_uri
    if here.startswith("tutorials/"):
        markdown, figures = run(markdown)
        for name, figure in figures.items():
            folder = posixpath.splitext(here)[0]
            files.append(File.generated(config, f"{folder}/{name}", content=figure))
            target = f"{posixpath.basename(folder)}/{name}"
            markdown = markdown.replace(f"]({name})", f"]({target})")
    source = ELSEWHERE.get(here, f"docs/{here}")
    pages = {source: page for page, source in ELSEWHERE.items()}

    def link(match):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        path = path.replace("benchmarks/plots/", "docs/plots/")
        target = pages.get(path, path.removeprefix("docs/"))
        return posixpath.relpath(target, posixpath.dirname(here) or ".")

    return LINK.sub(link, markdown)


def run(markdown):
    """Runs a page as a notebook. Returns it with all outputs, and its figures."""
    digest = hashlib.sha256(markdown.encode())
    for path in SOURCES:
        digest.update(path.read_bytes())
    cache = ROOT / "build" / "tutorials" / digest.hexdigest()
    if not cache.exists():
        notebook = jupytext.reads(markdown, fmt="md")
        with tempfile.TemporaryDirectory() as folder:
            client = NotebookClient(
                notebook,
                timeout=300,
                coalesce_streams=True,
                extra_arguments=["--matplotlib=inline"],
                resources={"metadata": {"path": folder}},
                # Sockets of files need no network, not even one of this machine.
                config=Config(KernelManager={"transport": "ipc", "ip": f"{folder}/k"}),
            )
            client.execute(stderr=subprocess.DEVNULL)
        for cell in notebook.cells:
            outputs = cell.get("outputs", [])
            cell.outputs = [o for o in outputs if o.get("name") != "stderr"]
            for output in cell.outputs:
                if "text" in output:
                    output.text = LOG.sub("", output.text)
        body, resources = MarkdownExporter().from_notebook_node(notebook)
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_bytes(pickle.dumps((body, resources["outputs"])))
    return pickle.loads(cache.read_bytes())


def on_page_content(content, **kwargs):
    """Equations become MathML, and public names links to their pages."""
    content = MATH.sub(mathml, content)
    pieces = NO_LINKS.split(content)
    # Two groups of the expression stand between the pieces.
    pieces[::3] = [CODE.sub(api_link, piece) for piece in pieces[::3]]
    del pieces[2::3]
    return "".join(pieces)


def mathml(match):
    latex = html.unescape(match[2]).strip()[2:-2]
    display = "block" if match[1] == "div" else "inline"
    return convert(latex.strip(), display=display)


def api_link(match):
    name = match[1]
    # Other words may mean an argument or a method.
    path = PATHS.get(name, name) if name[0].isupper() or "_" in name else name
    if path not in PATHS.values():
        return match[0]
    return f'<autoref identifier="{path}">{match[0]}</autoref>'
