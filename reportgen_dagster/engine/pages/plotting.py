"""matplotlib as reports need it: without anybody's configuration, with its own fonts, the same picture each time.

What belongs here: loading it, and what holds for all charts. What does not: charts (charts.py).

It is loaded late, for most reports do without. While it loads it looks for settings in the working folder and in the home, and
writes a list of fonts there; here it finds an empty folder, which goes afterwards.
"""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reportgen_dagster.environment import environment_variables

FONT = "DejaVu Sans"
INK, FAINT, REST = "#1f2933", "#c8d0d8", "#9aa5b1"
COLOURS = ("#1f5a99", "#e08a2e", "#2a9d8f", "#a33b5c", "#7a5ea8", "#8a9a2c", "#5b9bd5", "#6b7280")
_SETTINGS: dict[str, Any] = {
    "font.family": FONT,
    "font.size": 8,
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e4e8ec",
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "reportgen",
    "path.simplify": True,
}


@cache
def _loaded() -> Any:
    with (
        tempfile.TemporaryDirectory(prefix="matplotlib-") as folder,
        environment_variables({"MPLCONFIGDIR": folder}),
        contextlib.chdir(folder),
    ):
        import matplotlib.backends.backend_svg
        import matplotlib.figure
    return matplotlib


@contextlib.contextmanager
def settings() -> Iterator[None]:
    """Draw with these settings and no others."""
    matplotlib = _loaded()
    with warnings.catch_warnings(), matplotlib.rc_context({**matplotlib.rcParamsDefault, **_SETTINGS}):
        warnings.simplefilter("ignore")  # of letters that the font does not have
        yield


def font_folder() -> Path:
    """Return where the fonts are that matplotlib carries."""
    found = find_spec("matplotlib")  # without loading it
    if found is None or found.origin is None:
        raise ModuleNotFoundError("matplotlib")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
