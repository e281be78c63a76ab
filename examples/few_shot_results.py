"""Tables and plots of what `few_shot.py` measured."""

import numpy as np
from few_shot_heads import HEADS

from keras_nam.metrics import confidence_interval

MEASURES = (
    "area",
    "accuracy",
    "accuracy on novel",
    "accuracy on base",
    "base answered novel",
    "novel answered base",
)
TABLE = ("accuracy", "base answered novel", "novel answered base")
# What the others are compared with, episode by episode.
REFERENCE = "cosine"
# Accuracies on base classes at which those on novel ones are kept.
GRID = np.linspace(0, 1, 101)


def summarize(runs):
    """What the table needs of the episodes: sums over those of every seed."""
    summary = {}
    for shots, name in runs[0]:
        parts = [np.array(r[shots, name]["episodes"]) for r in runs]
        references = [np.array(r[shots, REFERENCE]["episodes"]) for r in runs]
        # The areas of the same episodes.
        more = [x[:, 0] - y[:, 0] for x, y in zip(parts, references, strict=True)]
        summary[f"{shots} shot, {name}"] = {
            "episodes": [len(part) for part in parts],
            "mean": {
                measure: [_moments(part[:, i]) for part in parts]
                for i, measure in enumerate(MEASURES)
            },
            f"less {REFERENCE}": [_moments(x) for x in more],
            "curve": mean_curve([r[shots, name]["curve"] for r in runs]),
            **{
                key: np.mean([r[shots, name][key] for r in runs], axis=0).tolist()
                for key in ("confusion", "AUROC", "FPR95")
            },
        }
    return summary


def mean_curve(curves):
    """Means over seeds of both accuracies, where one is as many times the other."""
    means = np.zeros((2, len(GRID)))
    for novel in np.array(curves):
        end = np.flatnonzero(novel)[-1] + 1
        base, novel = GRID[:end][::-1], novel[:end][::-1]
        share = base / (base + novel)
        means += [np.interp(GRID, share[::-1], x[::-1]) for x in (base, novel)]
    return np.round(means / len(curves), 4).tolist()


def _moments(values):
    return [round(float(values.mean()), 6), round(float(values.std()), 6)]


def pooled_interval(moments, counts):
    """Mean and half its confidence interval in percent, from the seeds' moments."""
    means, deviations = 100 * np.array(moments).T
    counts = np.array(counts)
    mean = counts @ means / counts.sum()
    squares = counts @ (deviations**2 + (means - mean) ** 2)
    # As many values with the same mean and the same variance.
    spread = np.sqrt(squares / counts.sum())
    values = mean + spread * np.resize([1.0, -1.0], 2 * (counts.sum() // 2))
    return mean, confidence_interval(values)[1]


def table_rows(summary):
    """Means over all episodes of all seeds, with 95 % confidence intervals."""
    less = f"area less that of {REFERENCE}"
    columns = ["", "area", less, "over seeds", *TABLE, "AUROC", "FPR95"]
    yield "| " + " | ".join(columns) + " |"
    yield "|---" * len(columns) + "|"
    for name, result in summary.items():
        counts, means = result["episodes"], result["mean"]
        less = result[f"less {REFERENCE}"]
        seeds = [100 * mean for mean, _ in less]
        area, *cells = (
            "{:.1f} ± {:.1f}".format(*pooled_interval(means[measure], counts))
            for measure in ("area", *TABLE)
        )
        cells = [
            name,
            area,
            "{:+.2f} ± {:.2f}".format(*pooled_interval(less, counts)),
            f"{min(seeds):+.2f} to {max(seeds):+.2f}",
            *cells,
            *(f"{100 * result[key]:.1f}" for key in ("AUROC", "FPR95")),
        ]
        yield "| " + " | ".join(cells) + " |"


def shots_and_names(summary):
    """The heads that were measured, by shots."""
    by_shots = {}
    for key in summary:
        shots, name = key.split(" shot, ")
        by_shots.setdefault(int(shots), []).append(name)
    return by_shots


def plot_curves(summary, path):
    from matplotlib.figure import Figure

    by_shots = shots_and_names(summary)
    figure = Figure(figsize=(5 * len(by_shots), 4.6), layout="constrained")
    grid = figure.subplots(1, len(by_shots), squeeze=False)[0]
    for axes, (shots, names) in zip(grid, by_shots.items(), strict=True):
        for name in (n for n in names if n in HEADS):
            result = summary[f"{shots} shot, {name}"]
            style = "--" if name.startswith("cosine") else "-"
            base, novel = 100 * np.array(result["curve"])
            (line,) = axes.plot(base, novel, style, label=name)
            point = [
                np.mean([mean for mean, _ in result["mean"][f"accuracy on {group}"]])
                for group in ("base", "novel")
            ]
            axes.plot(*(100 * np.array(point)), "o", color=line.get_color())
        # Nobody wants to know the one group alone.
        axes.set_xlim(left=0.6 * base.max())
        axes.set_ylim(bottom=0.6 * novel.max())
        axes.set_xlabel("accuracy on base classes (%)")
        axes.set_ylabel("accuracy on novel classes (%)")
        axes.set_title(f"{shots} example(s) of a novel class")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3
    )
    figure.savefig(path, dpi=150)


def plot_confusion(summary, path):
    from matplotlib.figure import Figure

    by_shots = shots_and_names(summary)
    figure = Figure(figsize=(5 * len(by_shots), 4.6), layout="constrained")
    grid = figure.subplots(1, len(by_shots), squeeze=False, sharey=True)[0]
    for axes, (shots, names) in zip(grid, by_shots.items(), strict=True):
        names = [name for name in names if name in HEADS]
        confusions = np.array(
            [summary[f"{shots} shot, {name}"]["confusion"] for name in names]
        )
        for group, offset in ((0, -0.2), (1, 0.2)):
            label = ("base answered novel", "novel answered base")[group]
            places, values = np.arange(len(names)) + offset, confusions[:, group, 2]
            bars = axes.barh(places, 100 * values, 0.38, label=label)
            axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        axes.set_yticks(range(len(names)), names)
        axes.margins(x=0.15)
        axes.set_xlabel("queries answered with the other group (%)")
        axes.set_title(f"{shots} example(s) of a novel class")
    axes.invert_yaxis()
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=2
    )
    figure.savefig(path, dpi=150)
