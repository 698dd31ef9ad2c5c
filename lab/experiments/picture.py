"""Pictures that can be read from the last row of a lecture hall: large letters, thick lines, colours that all can tell
apart."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.experiments.experiment import Row, column, groups, spread

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
"""Okabe and Ito's palette, which people with any kind of colour vision can tell apart; its yellow is left out, since it
is too pale on white. https://jfly.uni-koeln.de/color/"""

MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
"""One for each colour, for a black-and-white print."""

STYLE: Any = {
    "figure.figsize": (13.33, 7.5), "figure.dpi": 100, "figure.constrained_layout.use": True,
    "font.size": 20, "axes.titlesize": 24, "axes.labelsize": 22, "legend.fontsize": 17,
    "xtick.labelsize": 19, "ytick.labelsize": 19, "figure.titlesize": 25,
    "lines.linewidth": 3.5, "lines.markersize": 12, "axes.linewidth": 1.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#dddddd",
    "grid.linewidth": 1.2, "legend.framealpha": 0.9,
    "svg.hashsalt": "experiments", "svg.fonttype": "path", "font.family": "DejaVu Sans"}
"""A slide of 16:9. Letters in an SVG are paths: they look the same even if the font is missing."""


def save_pictures(folder: Path, title: str, draw: Callable[[Figure], None]) -> None:
    """Draw plot.svg and plot.png; the same rows give the same bytes of SVG."""
    with matplotlib.rc_context(STYLE):
        figure = Figure()
        draw(figure)
        figure.suptitle(title, fontweight="bold")
        figure.savefig(folder / "plot.svg", metadata={"Date": None})
        figure.savefig(folder / "plot.png")


def draw_measured(axes: Axes, rows: Sequence[Row], x: str, y: str, label: str, place: int, shift: float = 0.0) -> None:
    """The medians of column `y` over `x` as points, and from the 5th to the 95th percentile as bars. `place` picks the
    colour and the marker; `shift` moves the points sideways, so that two series do not hide each other."""
    points = [(float(value), *spread(column(group, y))) for (value,), group in groups(rows, x)]
    xs = [value + shift for value, *_ in points]
    middles = [middle for _, _, middle, _ in points]
    bars = [[middle - low for _, low, middle, _ in points], [high - middle for _, _, middle, high in points]]
    axes.errorbar(xs, middles, bars, fmt=MARKERS[place], color=COLOURS[place], label=label, capsize=7, elinewidth=2.5,
                  capthick=2.5, zorder=3)


def draw_theory(axes: Axes, xs: Sequence[float], ys: Sequence[float], label: str, place: int, style: str = "-") -> None:
    """A closed form as a line."""
    axes.plot(xs, ys, style, color=COLOURS[place], label=label, zorder=2)
