"""HTML from Jinja2 templates; whatever they are given is escaped, whoever named it."""

from __future__ import annotations

import re
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


def unbroken(text: str) -> Markup:
    """Text in which a line never ends inside a number such as 1e-3.

    Example:
      >>> unbroken("<b> 1e-3")
      Markup('&lt;b&gt; <span class="whole">1e-3</span>')
    """
    parts = re.split(r"(\d+e-\d+)", text)
    return Markup("").join(
        Markup('<span class="whole">{}</span>').format(part) if i % 2 else part
        for i, part in enumerate(parts)
    )


_TEMPLATES.filters["unbroken"] = unbroken


def render(template: str, **values: Any) -> Markup:
    """Fill in a template of `templates/`.

    Example:
      >>> render("problems.html", problems=("<b> is damaged",))
      Markup('<aside><strong>Left out</strong><ul><li>&lt;b&gt; is damaged</li></ul></aside>')
    """
    return Markup(_TEMPLATES.get_template(template).render(**values))
