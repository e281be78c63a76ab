"""Heat maps over time in the one style of all figures."""

import numpy as np

from keras_nam.optional import require_package

# Both are told apart by colour-blind readers, and blank ("bad") cells from either.
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
BLANK = "0.82"

# Width and height in inches for labels and the colour bar.
MARGIN = 1.6, 1.1

# Above this many steps, tokens need smaller letters.
MANY_STEPS = 40


def new_figure(rows, columns, panel_size, **kwargs):
    """Returns a figure that needs no display, and its axes, `(rows, columns)`.

    Args:
        rows, columns: Integers, the number of panels.
        panel_size: Width and height of a panel in inches.
        **kwargs: Further arguments of `Figure.subplots`.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    size = np.array([columns, rows]) * panel_size + MARGIN
    figure = require_package("matplotlib.figure").Figure(
        figsize=size, layout="constrained"
    )
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def panel_width(length):
    """The width in inches of a panel with `length` steps."""
    return float(np.clip(0.22 * length, 3.2, max(8.0, 0.11 * length)))


def color_scale(*arrays, signed=False):
    """Returns the arguments of `heat_map` that give several arrays one scale.

    It ends at their largest magnitude. It starts at 0, or is symmetric about it if
    `signed` or if any value is negative. NaN is left out.
    """
    finite = np.concatenate([x[np.isfinite(x)].ravel() for x in arrays])
    largest = float(np.abs(finite).max(initial=0)) or 1.0
    # What rounding leaves below zero does not need a scale of two signs.
    if not signed and finite.min(initial=0) >= -1e-3 * largest:
        return {"cmap": SEQUENTIAL, "vmin": 0.0, "vmax": largest}
    return {"cmap": DIVERGING, "vmin": -largest, "vmax": largest}


def heat_map(axes, values, cmap, vmin, vmax):
    """Draws a matrix, its first row on top, NaN blank, and returns the image."""
    colormaps = require_package("matplotlib").colormaps
    image = axes.imshow(
        values,
        cmap=colormaps[cmap].with_extremes(bad=BLANK),
        vmin=vmin,
        vmax=vmax,
        aspect="auto",
        interpolation="nearest",
    )
    axes.tick_params(labelsize=8)
    return image


def plot_rows(panels, scale, row_label, bar_label, tokens=None, masked=False):
    """Plots numbers of heads or tapes over time, one panel above the other.

    Args:
        panels: Dictionary from the titles of panels to arrays `(time, rows)`.
        scale: Dictionary, the arguments of `heat_map`.
        row_label: String, what a row of a panel is.
        bar_label: String, what the colours are.
        tokens, masked: See `label_steps`.

    Returns:
        The figure.
    """
    length, count = next(iter(panels.values())).shape
    size = panel_width(length), max(0.6, 0.2 * count)
    figure, axes = new_figure(len(panels), 1, size, sharex=True, sharey=True)
    for panel, (title, values) in zip(axes[:, 0], panels.items(), strict=True):
        image = heat_map(panel, values.T, **scale)
        panel.set_title(title, fontsize=10)
        panel.set_ylabel(row_label, fontsize=9)
        integer_ticks(panel.yaxis)
    label_steps(axes[-1, 0], length, tokens, masked)
    color_bar(figure, image, axes, bar_label)
    return figure


def label_steps(axes, length, tokens=None, masked=False):
    """Labels the time axis by step numbers, or by one token for each step."""
    label = "step" if tokens is None else "token"
    axes.set_xlabel(f"{label} (grey: masked)" if masked else label, fontsize=9)
    if tokens is None:
        integer_ticks(axes.xaxis)
        return
    long = max(map(len, tokens), default=0) > 2
    axes.set_xticks(
        range(length),
        tokens,
        rotation=90 if long else 0,
        fontsize=6 if length > MANY_STEPS else 8,
    )
    # A dollar is a token, not the start of a formula.
    for text in axes.get_xticklabels():
        text.set_parse_math(False)


def integer_ticks(axis, bins=8):
    """Puts ticks at whole numbers only."""
    ticker = require_package("matplotlib.ticker")
    axis.set_major_locator(ticker.MaxNLocator(bins, integer=True, min_n_ticks=1))


def color_bar(figure, image, axes, label):
    """Adds the one colour bar of all panels."""
    # The bar is as high as the figure, and about a sixth of an inch wide.
    aspect = 6 * figure.get_figheight()
    bar = figure.colorbar(image, ax=axes, aspect=aspect, fraction=0.05, pad=0.01)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
