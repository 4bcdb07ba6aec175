"""Meshes of things that people carry: eyeglasses, guitar, racket, shoe, suitcase."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sparsity_jax.data.renderings.meshes.mesh import Mesh, joined, moved, scaled, turned
from sparsity_jax.data.renderings.meshes.shapes import (
    arc,
    box,
    circle,
    loft,
    pipe,
    prism,
    rod,
    rounded,
)

Rng = np.random.Generator


def eyeglasses(rng: Rng) -> Mesh:
    """Two round or squared rims joined by a bridge, two temples bent down behind the ears."""
    u = rng.uniform
    wide, tall, frame = u(0.5, 0.62), u(0.38, 0.52), u(0.035, 0.06)
    middle, length, tone = wide / 2 + u(0.1, 0.16), u(1.0, 1.25), u(0.15, 0.35)
    outline = rounded(wide, tall, tall * u(0.25, 0.5), steps=4)
    dark = rng.random() < 0.4
    parts = [pipe([(-0.14, 0, 0.05), (0, 0, 0.11), (0.14, 0, 0.05)], frame, sections=5, tone=tone)]
    for side in (-1, 1):
        rim = np.c_[outline[:, 0] + side * middle, np.zeros(len(outline)), outline[:, 1]]
        parts.append(pipe(rim, frame, closed=True, sections=5, tone=tone))
        lens = turned(prism(outline, -0.01, 0.01, tone=0.2 if dark else 0.8), "x", 90)
        parts.append(moved(lens, (side * middle, 0, 0)))
        x = side * (middle + wide / 2)
        temple = [(x, 0, tall * 0.2), (x, length * 0.8, tall * 0.2), (x, length, -tall * 0.35)]
        parts.append(pipe(temple, frame * 0.9, sections=5, tone=tone))
    return joined(parts)


def _body_outline(rng: Rng) -> np.ndarray:
    """A guitar body: a wide lower and a smaller upper half with a waist between, (24, 2)."""
    lower, upper, waist = rng.uniform(0.5, 0.58), rng.uniform(0.36, 0.44), rng.uniform(0.28, 0.34)
    heights = np.linspace(0, 1.2, 11)
    widths = np.interp(
        heights,
        [0, 0.1, 0.35, 0.6, 0.75, 0.95, 1.12, 1.2],
        [0.15, lower * 0.8, lower, lower * 0.8, waist, upper, upper * 0.7, 0.1],
    )
    right = np.c_[widths, heights]
    return np.concatenate([right, right[::-1] * np.array([-1, 1])])


def guitar(rng: Rng) -> Mesh:
    """A waisted body with a sound hole and bridge, a long neck, a head with pegs; upright."""
    u = rng.uniform
    depth, neck, tone = u(0.14, 0.28), u(1.1, 1.35), u(0.6, 0.9)
    outline = _body_outline(rng)
    front = -depth / 2
    parts = [
        turned(prism(outline, -depth / 2, depth / 2, tone=tone), "x", 90),
        box((0.1, 0.08, neck), (0, front, 1.05 + neck / 2), tone=0.25),
        box((0.2, 0.07, 0.32), (0, front + 0.02, 1.05 + neck + 0.1), tone=0.3),
        box((0.36, 0.05, 0.07), (0, front - 0.02, 0.32), tone=0.15),
        box((0.05, 0.01, neck + 0.7), (0, front - 0.05, 0.35 + (neck + 0.7) / 2), tone=0.75),
    ]
    if rng.random() < 0.65:
        parts.append(
            rod((0, front + 0.02, 0.72), (0, front - 0.015, 0.72), 0.16, sections=12, tone=0.05)
        )
    else:
        parts += [box((0.3, 0.04, 0.08), (0, front - 0.01, z), tone=0.1) for z in (0.5, 0.72)]
        plate = [(-0.32, 0.8), (-0.3, 0.15), (-0.15, 0.1), (-0.12, 0.75)]
        parts.append(
            turned(prism(np.array(plate), -front - 0.02, -front + 0.012, tone=0.95), "x", 90)
        )
    for k in range(3):
        z = 1.05 + neck + 0.02 + 0.1 * k
        parts.append(box((0.34, 0.04, 0.04), (0, front + 0.02, z), tone=0.6))
    return joined(parts)


def racket(rng: Rng) -> Mesh:
    """A strung oval head, an open throat and a long wrapped grip; upright."""
    u = rng.uniform
    wide, tall, frame = u(0.42, 0.52), u(0.52, 0.66), u(0.04, 0.055)
    shaft, tone = u(0.75, 1.1), u(0.25, 0.5)
    oval = circle(20) * np.array([wide, tall])
    parts = [
        pipe(np.c_[oval[:, 0], np.zeros(20), oval[:, 1]], frame, closed=True, sections=5, tone=tone)
    ]
    for x in np.linspace(-0.75, 0.75, 7):
        z = tall * np.sqrt(1 - x**2)
        parts.append(box((0.018, 0.012, 2 * z), (x * wide, 0, 0), tone=0.95))
    for z in np.linspace(-0.8, 0.8, 8):
        x = wide * np.sqrt(1 - z**2)
        parts.append(box((2 * x, 0.012, 0.018), (0, 0, z * tall), tone=0.95))
    throat = -tall - u(0.25, 0.4)
    for side in (-1, 1):
        parts.append(
            rod((side * wide * 0.55, 0, -tall * 0.82), (0, 0, throat), frame, sections=5, tone=tone)
        )
    parts.append(rod((0, 0, throat + 0.05), (0, 0, -tall - shaft), 0.055, tone=tone))
    parts.append(rod((0, 0, -tall - shaft * 0.55), (0, 0, -tall - shaft - 0.1), 0.075, tone=0.15))
    return joined(parts)


_ACROSS_UPPER = (  # across a shoe: sideways, up
    (1.0, 0.0),
    (1.0, 0.35),
    (0.7, 0.85),
    (0.35, 1.0),
    (-0.35, 1.0),
    (-0.7, 0.85),
    (-1.0, 0.35),
    (-1.0, 0.0),
)


def _along_upper(boot: float) -> np.ndarray:
    """From heel to toe: x, half width and height of the upper (8, 3); boot raises the ankle."""
    return np.array(
        [
            (-0.95, 0.55, 0.6 + boot),
            (-0.85, 0.8, 0.66 + boot),
            (-0.4, 0.85, 0.6 + boot),
            (-0.25, 0.85, 0.55 + 0.6 * boot),
            (0.1, 0.9, 0.42),
            (0.55, 1.0, 0.3),
            (0.85, 0.85, 0.22),
            (1.0, 0.45, 0.12),
        ]
    )


def shoe(rng: Rng) -> Mesh:
    """A sole under a low toe that rises to a dark ankle opening, at times laced or heeled."""
    u = rng.uniform
    boot, sole, wide = u(0.0, 0.5) * (rng.random() < 0.5), u(0.07, 0.16), u(0.27, 0.33)
    stations, section = _along_upper(boot), np.array(_ACROSS_UPPER)
    rings = np.empty((len(stations), len(section), 3))
    rings[..., 0] = stations[:, :1]
    rings[..., 1] = section[:, 0] * stations[:, 1:2] * wide
    rings[..., 2] = sole + section[:, 1] * stations[:, 2:]
    outline = np.concatenate([stations[:, :2], stations[::-1, :2] * np.array([1, -1])])
    outline = outline[::-1] * np.array([1.04, wide * 1.1])
    top = sole + 0.62 + boot
    opening = rounded(0.46, wide * 1.1, 0.15)
    parts = [
        loft(rings, tone=u(0.55, 0.85)),
        prism(outline, 0.0, sole, tone=u(0.9, 1.0)),
        moved(prism(opening, -0.08, 0.03, tone=0.08), (-0.64, 0, top)),
    ]
    if rng.random() < 0.4:
        parts.append(box((0.45, wide * 1.5, 0.2), (-0.72, 0, -0.1), tone=0.3))
    for k in range(int(rng.integers(2, 5))):
        x = -0.18 + 0.16 * k
        z = sole + np.interp(x, stations[:, 0], stations[:, 2])
        parts.append(box((0.05, wide * 0.95, 0.05), (x, 0, z), tone=0.98))
    return joined(parts)


def suitcase(rng: Rng) -> Mesh:
    """A standing ribbed case with a grip on top, a pull-out handle and wheels, or with straps."""
    u = rng.uniform
    trolley = rng.random() < 0.6
    width, height, depth = (
        (u(0.75, 0.9), u(1.05, 1.3), u(0.35, 0.45))
        if trolley
        else (u(1.2, 1.5), u(0.8, 0.95), u(0.3, 0.42))
    )
    tone = u(0.45, 0.75)
    outline = rounded(width, height, 0.12)
    low = 0.1 if trolley else 0.0
    shell = turned(prism(outline, -depth / 2, depth / 2, tone=tone), "x", 90)
    parts = [moved(shell, (0, 0, low + height / 2))]
    band = scaled(turned(prism(outline, -0.025, 0.025, tone=0.2), "x", 90), (1.03, 1, 1.03))
    parts.append(moved(band, (0, 0, low + height / 2)))
    ribs = np.linspace(-0.3, 0.3, int(rng.integers(3, 6))) if trolley else (-0.3, 0.3)
    parts += [
        box(
            (0.05 if trolley else 0.1, depth * 1.07, height * (0.85 if trolley else 1.02)),
            (x * width, 0, low + height / 2),
            tone=tone * 1.35 if trolley else 0.25,
        )
        for x in ribs
    ]
    top = low + height
    bow = arc((0.18, 0.13), 0, 180, 6)
    parts.append(pipe(np.c_[bow[:, 0], np.zeros(6), bow[:, 1] + top], 0.035, sections=5, tone=0.15))
    if trolley:
        parts += _trolley(width, depth, top, u(0.3, 0.55))
    return joined(parts)


def _trolley(width: float, depth: float, top: float, rise: float) -> list[Mesh]:
    """A pull-out handle above the top and four wheels."""
    y = depth * 0.4
    loop = [
        (-0.2, y, top - 0.05),
        (-0.2, y, top + rise),
        (0.2, y, top + rise),
        (0.2, y, top - 0.05),
    ]
    parts = [rod(a, b, 0.025, sections=5, tone=0.3) for a, b in pairwise(loop)]
    for x in (-width * 0.38, width * 0.38):
        for y in (-depth * 0.36, depth * 0.36):
            parts.append(rod((x, y - 0.04, 0.07), (x, y + 0.04, 0.07), 0.08, tone=0.1))
    return parts
