"""The page of `llmgate bench`: one file, no script, nothing loaded from anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmgate.report.formats.plot import forests, serving_plot
from llmgate.report.formats.serving_plot import curve_plot, drawn_arms, ecdf_plot
from llmgate.report.html_page import render_page

if TYPE_CHECKING:
    from llmgate.report.serving_rows import ServingPage

__all__ = ["serving_page"]


def serving_page(page: ServingPage) -> str:
    """One self-contained HTML document: see `render_page`.

    Args:
        page: Of `measurement_page` or `comparison_page`.
    """
    return render_page(
        "bench.html.j2",
        page=page,
        forests=forests(page.metrics),
        serving=[(table, serving_plot(table)) for table in page.serving],
        curves=[curve_plot(curve) for curve in page.curves],
        ecdfs=[ecdf_plot(ecdf) for ecdf in page.ecdfs],
        arms=drawn_arms(page.arms),
    )
