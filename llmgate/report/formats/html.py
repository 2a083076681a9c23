"""The report for the release manager: one file, no script, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from llmgate.report.formats.plot import forests, serving_plot

if TYPE_CHECKING:
    from llmgate.report.rows import ReportView

__all__ = ["render_html"]

PAGE = 25
"""Cases per folded page."""


def render_html(view: ReportView) -> str:
    """One self-contained HTML document.

    Every value of the view is escaped by the template engine. The policy in the document's head forbids scripts,
    images, fonts, frames, forms and every request; its only allowance is the inline style sheet, by hash.

    Args:
        view: What to say.
    """
    loader = PackageLoader("llmgate.report")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = loader.get_source(environment, "report.css")[0]
    return environment.get_template("report.html.j2").render(
        view=view,
        # The packaged style sheet is ours and holds no value of the view.
        style=Markup(style),  # noqa: S704
        style_hash=_source_hash(style),
        forests=forests(view.metrics),
        serving=[(table, serving_plot(table)) for table in view.serving],
        sections=_sections(view),
        page=PAGE,
    )


def _source_hash(text: str) -> str:
    """A source expression of a Content-Security-Policy: the digest of exactly what stands inside the element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _sections(view: ReportView) -> list[dict[str, Any]]:
    """Links to the parts that this report has, with the number of their rows."""
    counts = [
        ("problems", "Problems", len(view.problems)),
        ("required", "Must never fail", view.required.total),
        ("metrics", "Metrics", len(view.metrics)),
        *((panel.id, panel.title, len(panel.rows) + panel.left_out) for panel in view.panels),
        ("serving", "Serving", len(view.serving)),
        ("worse", "Worse", view.worse.total),
        ("better", "Better", view.better.total),
        ("missed", "Below par", view.missed.total),
        ("errors", "Errors", len(view.errors) + view.errors_left_out),
        ("slices", "Slices", len(view.slices) + view.slices_left_out),
    ]
    shown = [{"id": name, "title": title, "count": f"{rows:,}"} for name, title, rows in counts if rows]
    return [*shown, {"id": "provenance", "title": "Provenance", "count": ""}]
