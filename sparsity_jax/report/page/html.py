"""HTML from Jinja2 templates; whatever they are given is escaped, whoever named it."""

from __future__ import annotations

from typing import Any

import jinja2
from markupsafe import Markup

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("sparsity_jax.report.page"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: "" if value is None else value,
)


def render(template: str, **values: Any) -> Markup:
    """Fill in a template of `templates/`.

    Example:
      >>> render("problems.html", problems=("<b> is damaged",))
      Markup('<aside><strong>Left out</strong><ul><li>&lt;b&gt; is damaged</li></ul></aside>')
    """
    return Markup(_TEMPLATES.get_template(template).render(**values))
