"""The machine, the tables, and the place in README.md where the last ones stand."""

import importlib.metadata
import json
import os
import platform
from pathlib import Path

import keras
import numpy as np

from benchmarks.case import ours
from benchmarks.measure import median_ratio

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
README = FOLDER / "README.md"
START, END = "<!-- results -->\n", "<!-- end of results -->\n"
PACKAGES = ["tensorflow", "jax", "keras", "keras-hub", "torch"]
PACKAGES += ["flash-linear-attention", "xlstm", "numpy"]


def machine():
    return {
        "processor": _processor(),
        "threads": os.cpu_count(),
        "device": _device(),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def describe(machine):
    versions = [f"{name} {machine[name]}" for name in PACKAGES if machine.get(name)]
    return (
        f"{machine['threads']} threads of {machine['processor']}, {machine['device']}, "
        f"Python {machine['python']}, {', '.join(versions)}"
    )


def table(result):
    """The rows of one case's results."""
    seconds, memory = result["seconds"], result.get("megabytes", {})
    references = ours(seconds)
    ratios = " | ".join(f"time / {name}" for name in references)
    yield (
        f"| contender | median ms | {ratios} | first call s |"
        + (" peak MB |" if memory else "")
    )
    columns = 3 + len(references) + bool(memory)
    yield "|---" * columns + "|"
    for name, times in seconds.items():
        cells = [
            name,
            f"{1e3 * np.median(times):.1f}",
            *(
                f"{median_ratio(seconds, name, reference):.2f}"
                for reference in references
            ),
            f"{result['first'][name]:.1f}",
        ]
        if memory:
            peak = memory.get(name)
            cells.append("" if peak is None else f"{peak:.0f}")
        yield f"| {' | '.join(cells)} |"
    for name, reason in result["missing"].items():
        yield f"| {name} | not measured: {reason} |" + " |" * (columns - 2)


def heading(result):
    sizes = ", ".join(f"{name} {size}" for name, size in result["sizes"].items())
    return f"### `{result['case']}`: {sizes}"


def save(report, path):
    path.write_text(json.dumps(report, indent=1) + "\n")


def publish(report):
    """Puts the cases of a run into results.json and the tables of README.md."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for result in report["results"]:
        results[heading(result)] = {**result, "machine": report["machine"]}
    save(results, RESULTS)

    lines, last = [], None
    for title, result in sorted(results.items()):
        lines += [title, ""]
        described = describe(result["machine"])
        if described != last:
            lines += [f"{described}; {result['rounds']} rounds.", ""]
            last = described
        lines += [*table(result), ""]
    text = README.read_text()
    before, rest = text.split(START)
    _, after = rest.split(END)
    README.write_text(before + START + "\n" + "\n".join(lines) + END + after)


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device():
    """What the backend computes on."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return details[0]["device_name"] if details else "CPU"


def _processor():
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
