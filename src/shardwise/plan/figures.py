"""A figure that is written to a file when it is drawn, as SVG or PNG (extra ``charts``)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shardwise.errors import MissingExtra, StorageError
from shardwise.plan.charts import check_chart_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextlib.contextmanager
def new_chart(path: str, title: str) -> Iterator[Figure]:
    """An empty figure, which is written to ``path`` when the block ends. The same numbers give the same file.

    Raises
    ------
    UsageError
        The path ends neither in .svg nor in .png.
    MissingExtra
        Matplotlib is not installed.
    StorageError
        The file cannot be written.
    """
    check_chart_path(path)
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("a chart needs Matplotlib", 'pip install "shardwise[charts]"') from error
    # The same numbers give the same file: fixed ids in SVG, and no date.
    with matplotlib.rc_context({"svg.hashsalt": "shardwise", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(10, 5), dpi=150, layout="constrained")
        figure.suptitle(title, fontsize=12)
        yield figure
        try:
            figure.savefig(path, metadata={"Date": None} if path.lower().endswith(".svg") else {})
        except OSError as error:
            raise StorageError(f"the chart {path} cannot be written: {error.strerror or error}") from error
