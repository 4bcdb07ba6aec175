"""Meshes of craft in air and water: aeroplane, boat."""

from __future__ import annotations

import numpy as np

from sparsity_jax.data.renderings.meshes.mesh import Mesh, joined, moved, turned
from sparsity_jax.data.renderings.meshes.shapes import box, lathe, loft, prism, rod

Rng = np.random.Generator


def _wing(
    root: float, tip: float, span: float, sweep: float, rise: float, thick: float, tone: float
) -> Mesh:
    """One wing from y = 0 to y = span: chord root to tip, swept back towards -x, rising."""

    def section(chord: float, x: float, y: float, z: float, height: float) -> np.ndarray:
        corners = ((0.5, 0), (0.1, 0.5), (-0.5, 0), (0.1, -0.5))
        return np.array([(x + a * chord, y, z + b * height) for a, b in corners])

    return loft(
        np.stack([section(root, 0, 0, 0, thick), section(tip, -sweep, span, rise, thick * 0.5)]),
        tone=tone,
    )


def _mirrored(mesh: Mesh) -> Mesh:
    """The mesh reflected in the xz plane, faces turned so that they still look outwards."""
    return Mesh(mesh.vertices * np.array([1, -1, 1]), mesh.faces[:, ::-1], mesh.tones)


def aeroplane(rng: Rng) -> Mesh:
    """A fuselage with two swept wings, a tail, a fin, and jet engines or a propeller."""
    u = rng.uniform
    radius, span, chord = u(0.1, 0.15), u(0.8, 1.15), u(0.32, 0.5)
    jet = rng.random() < 0.7
    sweep = u(0.3, 0.6) if jet else u(0.0, 0.1)
    height = u(-0.6, -0.2) * radius if jet else u(-0.5, 1.0) * radius
    profile = [
        (0.02, -1.0),
        (radius * 0.5, -0.8),
        (radius, -0.4),
        (radius, 0.6),
        (radius * 0.75, 0.85),
        (0.02, 1.0),
    ]
    tone = u(0.75, 0.95)
    wing = moved(
        _wing(chord, chord * u(0.3, 0.6), span, sweep, u(0, 0.12), 0.06, 0.65), (0.15, 0, height)
    )
    tail = moved(
        _wing(chord * 0.55, chord * 0.3, span * u(0.32, 0.42), sweep * 0.4, 0.03, 0.04, 0.65),
        (-0.85, 0, radius * 0.4),
    )
    fin = moved(
        turned(_wing(chord * 0.65, chord * 0.35, u(0.3, 0.4), 0.18, 0, 0.04, 0.5), "x", 90),
        (-0.82, 0, radius * 0.3),
    )
    parts = [
        turned(lathe(profile, sections=10, tone=tone), "y", 90),
        fin,
        wing,
        _mirrored(wing),
        tail,
        _mirrored(tail),
        box((0.1, radius * 1.3, radius * 0.5), (0.82, 0, radius * 0.5), tone=0.15),
    ]
    return joined(parts + (_jets(rng, span, sweep, height) if jet else _propeller()))


def _jets(rng: Rng, span: float, sweep: float, height: float) -> list[Mesh]:
    """One or two engines below each wing."""
    parts = []
    for place in (0.35, 0.65)[: int(rng.integers(1, 3))]:
        x, z = 0.3 - sweep * place, height - 0.09
        for y in (-place * span, place * span):
            ends = (x - 0.15, y, z), (x + 0.15, y, z)
            parts.append(rod(*ends, 0.055, end_radius=0.075, tone=0.4))
    return parts


def _propeller() -> list[Mesh]:
    """Four blades at the nose."""
    return [box((0.03, *size), (0.99, 0, 0), tone=0.3) for size in ((0.06, 0.6), (0.6, 0.06))]


_STATIONS = (  # along a hull: x, width, how far the keel rises
    (-1.0, 0.7, 0.0),
    (-0.5, 1.0, 0.0),
    (0.2, 0.95, 0.02),
    (0.7, 0.55, 0.1),
    (1.05, 0.03, 0.2),
)
_SECTION = (  # across a hull: sideways, up
    (0.0, 0.0),
    (0.6, 0.15),
    (1.0, 1.0),
    (0.85, 0.98),
    (-0.85, 0.98),
    (-1.0, 1.0),
    (-0.6, 0.15),
)


def _hull(width: float, height: float, tone: float) -> Mesh:
    """A hull pointed at the bow, open to no side."""
    stations, section = np.array(_STATIONS), np.array(_SECTION)
    rings = np.empty((len(stations), len(section), 3))
    for k, (x, wide, lift) in enumerate(stations):
        rings[k, :, 0] = x + 0.1 * section[:, 1] * (x > 0)
        rings[k, :, 1] = section[:, 0] * wide * width
        rings[k, :, 2] = section[:, 1] * height * (1 - lift * 0.5) + lift * height * 1.2
    return loft(rings, tone=tone)


def boat(rng: Rng) -> Mesh:
    """A hull pointed at the bow, with a mast and sails, or with a cabin and a funnel."""
    u = rng.uniform
    width, height = u(0.28, 0.4), u(0.25, 0.35)
    parts = [
        _hull(width, height, u(0.35, 0.6)),
        box((1.2, width * 1.3, 0.04), (-0.3, 0, height), tone=0.85),
    ]
    above = _rigging(rng, height) if rng.random() < 0.6 else _cabin(rng, width, height)
    return joined(parts + above)


def _rigging(rng: Rng, height: float) -> list[Mesh]:
    """A mast with a main sail and a jib."""
    u = rng.uniform
    mast, foot, boom = u(1.3, 1.8), u(0.0, 0.2), u(0.75, 0.95)
    corners = (
        [(0, 0), (0, mast * 0.85), (-boom, 0.02)],
        [(0.05, 0), (0.9 - foot, 0), (0.05, mast * 0.75)],
    )
    parts = [rod((foot, 0, height * 0.5), (foot, 0, height + mast), 0.03, sections=6, tone=0.3)]
    for triangle, tone, most in zip(corners, (1.0, 0.92), (15, 8), strict=True):
        sail = turned(prism(np.array(triangle), -0.012, 0.012, tone=tone), "x", 90)
        parts.append(moved(turned(sail, "z", u(-most, most)), (foot, 0, height + 0.12)))
    return parts


def _cabin(rng: Rng, width: float, height: float) -> list[Mesh]:
    """Two storeys with dark windows, a funnel and a flagstaff."""
    u = rng.uniform
    length, tall = u(0.7, 1.0), u(0.22, 0.32)
    base = height + tall / 2
    return [
        box((length, width * 1.1, tall), (-0.25, 0, base), tone=0.95),
        box((length * 0.9, width * 1.12, tall * 0.35), (-0.25, 0, base), tone=0.2),
        box((length * 0.5, width * 0.9, tall), (-0.15, 0, base + tall), tone=0.9),
        box((length * 0.45, width * 0.92, tall * 0.4), (-0.15, 0, base + tall * 1.1), tone=0.2),
        rod((-0.4, 0, base + tall), (-0.45, 0, base + tall * u(2.2, 3.0)), 0.1, tone=0.4),
        rod((0.6, 0, height), (0.6, 0, height + u(0.4, 0.8)), 0.02, sections=4, tone=0.3),
    ]
