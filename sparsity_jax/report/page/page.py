"""One file that opens anywhere: `report.html` with style, script, figures and numbers inside.

It needs no network. A content security policy lets the page's own script run and nothing else, so
that even a run named like a script tag stays text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from sparsity_jax.report.figures.registry import Rendered
from sparsity_jax.report.loading import Records
from sparsity_jax.report.page import classes, gains, paper, runs, sections, slider
from sparsity_jax.report.page.html import render
from sparsity_jax.report.paper.sensitivity import sensitivity_table

MOST_NOTES = 12  # that stand open on the page
# A section's id -> what links to it say, and the parts of which one must have content.
SECTIONS = {
    "results": ("Results",),
    "pruning": ("Before and after pruning", "pruning"),
    "gains": ("What it buys", "gains"),
    "layers": ("Sparsity by layer", "layers"),
    "classes": ("Errors by class", "class_errors", "confused"),
    "sensitivity": ("Other thresholds", "sensitivity"),
    "deaths": ("When filters died", "deaths"),
    "evolution": ("Gamma and beta", "slider"),
    "paper": ("Beside the paper", "claims", "comparison", "own_tables"),
    "figures": ("Figures", "figures"),
    "images": ("Data", "data_sets"),
    "runs": ("Runs, one by one", "cards"),
    "again": ("Run it again",),
}


def page(records: Records, rendered: Sequence[Rendered]) -> str:
    """The text of `report.html` for these records and their rendered figures."""
    script, moving = _asset("page.js"), slider.payload(records)
    content = _content(records, rendered, slider=bool(moving["runs"]))
    return render(
        "page.html",
        **content,
        contents=_contents(content),
        policy=_policy(script),
        style=Markup(_asset("page.css")),
        script=Markup(script),
        data=Markup(embedded(moving)),
        name=records.name,
        badges=sections.badges(records),
        most_notes=MOST_NOTES,
    )


def _content(records: Records, rendered: Sequence[Rendered], *, slider: bool) -> Mapping[str, Any]:
    """What the sections show, by the names that the template has for it."""
    return {
        "lede": sections.lede(records),
        "problems": records.problems,
        "results": sections.results(records),
        "notes": sections.notes(records),
        "pruning": sections.pruning_table(records),
        "kept_layers": sections.kept_layers(records),
        "gains": gains.gains_table(records),
        "gains_said": gains.said(records),
        "layers": sections.layer_table(records),
        "class_errors": classes.class_table(records),
        "confused": classes.confused_table(records),
        "deaths": sections.deaths(records),
        "balances": sections.balances(records),
        "slider": slider,
        "claims": paper.claims(records),
        "comparison": paper.comparison(records),
        "own_tables": paper.own_tables(records),
        "sensitivity": sensitivity_table(records),
        "figures": sections.figures(rendered),
        "data_sets": sections.data(records),
        "cards": runs.cards(records),
        "again": sections.again(records),
    }


def _contents(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(id, title) of the sections that the page will have, in order."""
    present = {name for name, value in content.items() if getattr(value, "lines", value)}
    always = {"results", "again"}
    return [
        (section, title)
        for section, (title, *parts) in SECTIONS.items()
        if section in always or present & set(parts)
    ]


def embedded(data: Any) -> str:
    r"""JSON that is safe inside a script element: no character in it can end the element.

    Example:
      >>> embedded({"run": "</script>"})
      '{"run":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return files("sparsity_jax.report.page").joinpath(name).read_text(encoding="utf-8")
