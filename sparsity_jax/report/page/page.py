"""How do the parts become one file that opens anywhere?

`report.html` needs no network: style, script, figures and numbers are inside. A content security
policy lets the page's own script run and nothing else, so that even a run named like a script tag
stays text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import string
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from sparsity_jax.report.figures.filters import deaths
from sparsity_jax.report.figures.registry import Rendered
from sparsity_jax.report.loading import Records
from sparsity_jax.report.page import gains, sections
from sparsity_jax.report.page import paper as paper_sections
from sparsity_jax.report.page import slider as evolution


def page(records: Records, rendered: Sequence[Rendered]) -> str:
    """The text of `report.html` for these records and their rendered figures."""
    script, style = _asset("page.js"), _asset("page.css")
    layers, pruning = sections.layer_table(records), sections.pruning_table(records)
    moving = evolution.payload(records)
    return string.Template(_asset("page.html")).substitute(
        policy=_policy(script),
        style=style,
        script=script,
        data=embedded(moving),
        name=html.escape(records.name),
        lede=sections.lede(records),
        problems=sections.problems(records),
        results=sections.result_table(records),
        pruning=_section(
            "pruning",
            "The dead filters come off for free",
            "Each run before and after pruning: filters, convolution weights, multiply-adds per "
            "image; test error (%) of the trained network, with its inactive filters set to zero, "
            "and with them removed.",
            pruning,
        )
        + _section("gains", "What it buys", gains.TEXT, gains.gains_table(records)),
        layers=_section(
            "layers",
            "Sparsity by layer",
            "Inactive filters by gamma, percent of each layer; mean over seeds.",
            layers,
        )
        + _section(
            "deaths",
            "When filters died",
            "A filter is dead when it is inactive from then on to the end, as far as the run's "
            "evaluations tell.",
            deaths(records),
        ),
        evolution=_asset("slider.html") if moving["runs"] else "",
        paper=_section(
            "paper",
            "Beside the paper",
            "",
            paper_sections.claims(records) + paper_sections.comparison(records),
        ),
        figures=_section("figures", "Figures", "", sections.figures(rendered)),
        again=sections.again(records),
    )


def embedded(data: Any) -> str:
    """JSON that is safe inside a script element: no character in it can end the element.

    Example:
      >>> embedded({"run": "</script>"})
      '{"run":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _section(name: str, title: str, text: str, content: str) -> str:
    if not content:
        return ""
    said = f"<p>{html.escape(text)}</p>" if text else ""
    return f'<section id="{name}"><h2>{html.escape(title)}</h2>{said}{content}</section>'


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return files("sparsity_jax.report.page").joinpath(name).read_text(encoding="utf-8")
