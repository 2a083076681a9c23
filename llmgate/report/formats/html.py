"""The report for the release manager: one file, no script, nothing loaded from anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmgate.report.formats.plot import forests, serving_plot
from llmgate.report.html_page import render_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmgate.report.rows import ReportView

__all__ = ["render_html"]

PAGE = 25
"""Cases per folded page."""


def render_html(view: ReportView) -> str:
    """One self-contained HTML document: see `render_page`."""
    curves: Sequence[object] = ()
    arms: Sequence[object] = ()
    if view.curves or view.arms:
        from llmgate.report.formats.serving_plot import curve_plot, drawn_arms  # noqa: PLC0415 - few reports have any

        curves, arms = [curve_plot(curve) for curve in view.curves], drawn_arms(view.arms)
    return render_page(
        "report.html.j2",
        view=view,
        forests=forests(view.metrics),
        serving=[(table, serving_plot(table)) for table in view.serving],
        curves=curves,
        arms=arms,
        sections=_sections(view),
        page=PAGE,
    )


def _sections(view: ReportView) -> list[dict[str, Any]]:
    """Links to the parts that this report has, with the number of their rows."""
    counts = [
        ("problems", "Problems", len(view.problems)),
        ("required", "Must never fail", view.required.total),
        ("metrics", "Metrics", len(view.metrics)),
        ("worse", "Worse", view.worse.total),
        ("serving", "Serving", len(view.serving)),
        *((it.id, it.title, len(it.pairs)) for it in view.arms),
        *((panel.id, panel.title, len(panel.rows) + panel.left_out) for panel in view.panels),
        ("better", "Better", view.better.total),
        ("missed", "Below par", view.missed.total),
        ("errors", "Causes of errors", len(view.errors) + view.errors_left_out),
        ("slices", "Slices", len(view.slices) + view.slices_left_out),
    ]
    shown = [{"id": name, "title": title, "count": f"{rows:,}"} for name, title, rows in counts if rows]
    return [*shown, {"id": "provenance", "title": "Provenance", "count": ""}]
