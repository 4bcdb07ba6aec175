"""An audit as a table, as JSON and as a page."""

from __future__ import annotations

from typing import Any

import jinja2

from sparsity_jax.audit.counting import Audit

_SHOWN = 5
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("sparsity_jax.audit"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def as_text(audit: Audit) -> str:
    """Lay out an audit as a table with a bar for each layer."""
    width = max(5, *(len(layer.name) for layer in audit.layers))
    lines = [f"read: {audit.read}", *(f"left out: {line}" for line in left_out(audit))]
    lines += [f"note: {note}" for note in audit.notes]
    lines.append(f"{'layer':<{width}}  filters   dead      %")
    for layer in audit.layers:
        share = layer.dead / layer.filters
        row = f"{layer.name:<{width}}  {layer.filters:7d}  {layer.dead:5d}  {100 * share:5.1f}"
        lines.append(f"{row}  {'#' * round(20 * share)}".rstrip())
    return "\n".join([*lines, headline(audit)])


def as_json(audit: Audit) -> dict[str, Any]:
    """Lay out an audit as plain data; notes are there only where something is odd."""
    layers = [
        {"name": x.name, "filters": x.filters, "dead": x.dead, "weights": x.weights}
        for x in audit.layers
    ]
    return {
        "read": audit.read,
        "left_out": [{"name": entry.name, "why": entry.why} for entry in audit.left_out],
        "layers": layers,
        "filters": audit.filters,
        "dead": audit.dead,
        "weights": audit.weights,
        "dead_weights": audit.dead_weights,
        **({"notes": list(audit.notes)} if audit.notes else {}),
    }


def as_page(audit: Audit, title: str) -> str:
    """Lay out an audit as a self-contained HTML page."""
    template = _TEMPLATES.get_template("audit.html")
    return template.render(audit=audit, title=title, headline=headline(audit)) + "\n"


def headline(audit: Audit) -> str:
    """Say in a sentence how many filters are dead, and which weights they carry."""
    share = 100 * audit.dead / audit.filters
    line = f"{audit.dead} of {audit.filters} filters are dead ({share:.1f} %)"
    known = [layer for layer in audit.layers if layer.weights is not None]
    if not known:
        return f"{line}; which convolutions feed them is not known"
    whole = sum(layer.weights or 0 for layer in known)
    dead = sum(layer.dead_weights or 0 for layer in known)
    among = "" if len(known) == len(audit.layers) else (
        f" (of the {len(known)} of {len(audit.layers)} layers whose convolution is known)"
    )  # fmt: skip
    line += f"; their own kernels carry {dead:,} of {whole:,} convolution weights"
    line += f" ({100 * dead / whole:.1f} %){among}" if whole else among
    return line + (", and the inputs they feed more" if dead else "")


def left_out(audit: Audit) -> list[str]:
    """Say what was not counted: a line for each reason, with the first names."""
    reasons: dict[str, list[str]] = {}
    for entry in audit.left_out:
        reasons.setdefault(entry.why, []).append(entry.name)
    return [
        f"{', '.join(names[:_SHOWN])}{more(len(names) - _SHOWN)}: {why}"
        for why, names in reasons.items()
    ]


def more(count: int) -> str:
    """Say that there are further ones, if there are.

    Example:
      >>> more(3), more(0)
      (' and 3 more', '')
    """
    return f" and {count} more" if count > 0 else ""
