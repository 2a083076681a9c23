"""A page for a browser: one file, no script, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from llmgate.report.compiled_templates import CompiledTemplates

__all__ = ["render_page"]


def render_page(template: str, **values: object) -> str:
    """One self-contained HTML document.

    Every value is escaped by the template engine. The policy in the document's head forbids scripts, images, fonts,
    frames, forms and every request; its only allowance is the inline style sheet, by hash.

    Args:
        template: File name in `templates`.
        values: What the template names.
    """
    loader = PackageLoader("llmgate.report")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=CompiledTemplates(),
    )
    style = loader.get_source(environment, "report.css")[0]
    # A source expression of a Content-Security-Policy: the digest of exactly what stands inside the element.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template(template).render(
        # The packaged style sheet is ours and holds no value.
        style=Markup(style),  # noqa: S704
        style_hash=f"sha256-{digest}",
        **values,
    )
