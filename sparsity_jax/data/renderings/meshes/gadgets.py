"""Meshes of gadgets: camera, clock, fan, flashlight, headphone, keyboard, laptop."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sparsity_jax.data.renderings.meshes.mesh import Mesh, joined, moved, turned
from sparsity_jax.data.renderings.meshes.shapes import (
    arc,
    ball,
    box,
    lathe,
    pipe,
    prism,
    ring,
    rod,
    rounded,
)

Rng = np.random.Generator


def camera(rng: Rng) -> Mesh:
    """A dark box with a stepped lens and its glass in front, a view-finder hump, a release."""
    u = rng.uniform
    width, height, depth = 1.3, u(0.75, 0.95), u(0.32, 0.45)
    radius, length, dark = height * u(0.32, 0.42), u(0.3, 0.7), u(0.3, 0.45)
    front, x = -depth / 2, u(-0.1, 0.1)
    parts = [
        box((width, depth, height), (0, 0, height / 2), tone=dark),
        box((width * 1.005, depth * 1.01, height * 0.18), (0, 0, height * 0.9), tone=0.8),
        box((width * 0.3, depth * 0.9, height * u(0.22, 0.32)), (x, 0, height * 1.08), tone=dark),
        rod((-0.45, 0, height), (-0.45, 0, height + 0.1), 0.09, tone=0.75),
        box(
            (0.18, depth * 1.5, height * 0.85),
            (-width / 2 + 0.08, -0.02, height * 0.45),
            tone=dark * 0.7,
        ),
        box((width * 0.5, 0.03, height * 0.5), (0.1, depth / 2, height * 0.45), tone=0.15),
    ]
    for reach, size, tone in ((0.6, 1.0, 0.55), (1.0, 0.82, 0.8), (1.02, 0.62, 0.05)):
        ends = (x, front, height * 0.45), (x, front - reach * length, height * 0.45)
        parts.append(rod(*ends, radius * size, sections=14, tone=tone))
    if rng.random() < 0.4:
        parts.append(box((0.3, 0.2, 0.22), (0.42, 0, height + 0.1), tone=0.95))
    return joined(parts)


def clock(rng: Rng) -> Mesh:
    """A round white face with ticks and two hands in a dark rim, on feet, at times with bells."""
    u = rng.uniform
    depth, rim, tone = u(0.2, 0.4), u(0.06, 0.1), u(0.3, 0.6)
    front = -depth / 2
    parts = [
        rod((0, front, 0), (0, depth / 2, 0), 0.9, sections=18, tone=tone),
        rod((0, front, 0), (0, front - 0.03, 0), 0.88, sections=18, tone=1.0),
        ring(0.9, rim, (0, front, 0), sections=18, tone=tone),
    ]
    for hour in range(12):
        x, z = arc((0.72, 0.72), 30 * hour, 30 * hour, 1)[0]
        size = 0.13 if hour % 3 == 0 else 0.07
        parts.append(box((size, 0.03, size), (x, front - 0.03, z), tone=0.1))
    for length, wide in ((0.62, 0.07), (0.42, 0.1)):
        hand = box((length, 0.03, wide), (length / 2 - 0.05, front - 0.05, 0), tone=0.05)
        parts.append(turned(hand, "y", u(0, 360)))
    parts += [
        rod((s * 0.5, 0, -0.7), (s * 0.68, 0, -1.1), 0.08, sections=6, tone=tone) for s in (-1, 1)
    ]
    if rng.random() < 0.5:
        for side in (-1, 1):
            bell = lathe([(0.3, 0), (0.26, 0.14), (0.02, 0.24)], sections=10, tone=0.75)
            parts.append(turned(moved(bell, (0, 0, 0.98)), "y", side * 32))
        parts.append(rod((0, 0, 0.9), (0, 0, 1.2), 0.05, sections=5, tone=0.4))
    return joined(parts)


def fan(rng: Rng) -> Mesh:
    """Blades before a motor inside a wire cage, on a pole and a round foot."""
    u = rng.uniform
    pole, radius, blades = u(0.9, 2.0), u(0.55, 0.7), int(rng.integers(3, 6))
    parts = [rod((0, -0.24, 0), (0, 0.12, 0), 0.13, end_radius=0.16, tone=0.5)]
    outline = np.array([(0.06, -0.05), (radius * 0.9, -0.25), (radius * 0.95, 0.1), (0.06, 0.07)])
    for k in range(blades):
        blade = turned(prism(outline, -0.015, 0.015, tone=0.9), "x", 90 - 20)
        parts.append(moved(turned(blade, "y", 360 * k / blades + u(0, 20)), (0, -0.14, 0)))
    for y, size in ((-0.05, radius * 1.08), (-0.28, radius * 0.75)):
        parts.append(ring(size, 0.028, (0, y, 0), sections=18, sides=3, tone=0.35))
    for k in range(8):
        x, z = arc((1, 1), 45 * k, 45 * k, 1)[0]
        points = [
            (0.1 * x, -0.32, 0.1 * z),
            (0.75 * radius * x, -0.28, 0.75 * radius * z),
            (1.08 * radius * x, -0.05, 1.08 * radius * z),
        ]
        parts += [rod(a, b, 0.014, sections=3, tone=0.35) for a, b in pairwise(points)]
    head = turned(joined(parts), "x", u(-15, 5))
    return joined(
        [
            moved(head, (0, 0, pole)),
            rod((0, 0.06, 0), (0, 0.06, pole), u(0.05, 0.08), tone=0.6),
            lathe([(u(0.4, 0.55), 0), (0.42, 0.06), (0.1, 0.14)], tone=0.45),
        ]
    )


def flashlight(rng: Rng) -> Mesh:
    """A slim handle that flares into a wide head with a bright glass; lying on its side."""
    u = rng.uniform
    grip, head, length, flare = u(0.16, 0.22), u(0.32, 0.44), u(1.2, 1.7), u(0.2, 0.4)
    body = [(grip * 0.9, -length / 2 - 0.04), (grip, -length / 2), (grip, length / 2)]
    top = length / 2 + flare
    tone = u(0.3, 0.6)
    parts = [
        lathe(body, sections=12, tone=tone),
        lathe([(grip, length / 2), (head, top), (head, top + 0.22)], sections=14, tone=tone * 0.8),
        rod((0, 0, top + 0.2), (0, 0, top + 0.24), head * 0.88, sections=14, tone=1.0),
        box((grip * 0.5, grip * 0.9, 0.22), (grip, 0, length * 0.2), tone=0.95),
    ]
    parts += [
        rod((0, 0, z), (0, 0, z + 0.05), grip * 1.1, sections=12, tone=0.15)
        for z in np.linspace(-length * 0.45, length * 0.05, int(rng.integers(2, 5)))
    ]
    return turned(turned(joined(parts), "z", u(-40, 40)), "y", 90)


def headphone(rng: Rng) -> Mesh:
    """A head band bent over the top, with a thick cushioned cup at either end."""
    u = rng.uniform
    width, height, cup, thick = u(0.7, 0.85), u(0.75, 0.95), u(0.3, 0.42), u(0.16, 0.24)
    bow = arc((width, height), -8, 188, 11)
    band = np.c_[bow[:, 0], np.zeros(11), bow[:, 1]]
    tone = u(0.3, 0.6)
    parts = [
        pipe(band, u(0.06, 0.09), sections=6, tone=tone),
        pipe(band[3:8] * np.array([0.95, 1, 0.95]), 0.1, sections=6, tone=0.2),
    ]
    tall = u(1.0, 1.3)
    for side in (-1, 1):
        shell = lathe([(cup * 0.7, -thick), (cup, -thick * 0.5), (cup, 0)], sections=12, tone=tone)
        cushion = lathe(
            [(cup * 1.05, 0), (cup * 1.05, thick * 0.7), (cup * 0.5, thick * 0.75)],
            sections=12,
            tone=0.15,
        )
        pair = turned(joined([shell, cushion]), "y", -90 * side)
        pair = Mesh(pair.vertices * np.array([1, 1, tall]), pair.faces, pair.tones)
        parts.append(moved(pair, (side * width * 1.02, 0, -0.22)))
    return joined(parts)


def keyboard(rng: Rng) -> Mesh:
    """A flat slab carrying four or five rows of keys, the space bar in front, slightly raised."""
    u = rng.uniform
    width, depth, thick = u(2.0, 2.5), u(0.75, 0.95), 0.1
    rows, columns, light = int(rng.integers(4, 6)), int(rng.integers(9, 12)), rng.random() < 0.5
    slab, key = (0.35, 0.95) if light else (0.85, 0.3)
    parts = [box((width, depth, thick), (0, 0, 0), tone=slab)]
    deep = (depth - 0.12) / rows
    for row in range(rows):
        y = (row + 0.5) * deep - (depth - 0.12) / 2
        if row == 0:
            parts.append(box((width * 0.45, deep * 0.75, 0.1), (0, y, thick / 2), tone=key))
            parts += [
                box((width * 0.2, deep * 0.75, 0.1), (s * width * 0.36, y, thick / 2), tone=key)
                for s in (-1, 1)
            ]
            continue
        step = (width - 0.12) / columns
        parts += [
            box(
                (step * 0.78, deep * 0.75, 0.1),
                ((k + 0.5) * step - (width - 0.12) / 2, y, thick / 2),
                tone=key,
            )
            for k in range(columns)
        ]
    return turned(joined(parts), "x", u(4, 12))


def laptop(rng: Rng) -> Mesh:
    """A thin base with a dark key field and a touch pad, hinged to an open dark screen."""
    u = rng.uniform
    width, depth, angle, tone = u(1.4, 1.7), u(0.95, 1.1), u(95, 125), u(0.65, 0.9)
    tall = depth * u(0.85, 0.98)
    outline = rounded(width, depth, 0.08)
    parts = [
        prism(outline, 0, 0.07, tone=tone),
        box((width * 0.86, depth * 0.45, 0.02), (0, depth * 0.15, 0.075), tone=0.15),
        box((width * 0.28, depth * 0.25, 0.02), (0, -depth * 0.28, 0.075), tone=tone * 0.7),
    ]
    keys = [(x, y) for x in np.linspace(-0.36, 0.36, 7) for y in (0.03, 0.15, 0.27)]
    parts += [
        box((width * 0.09, depth * 0.08, 0.02), (x * width, y * depth, 0.083), tone=0.4)
        for x, y in keys
    ]
    screen = joined(
        [
            box((width, 0.05, tall), (0, 0, tall / 2), tone=tone),
            box((width * 0.9, 0.02, tall * 0.82), (0, -0.022, tall * 0.53), tone=u(0.1, 0.3)),
            ball((0.12, 0.015, 0.12), (0, 0.028, tall * 0.55), tone=0.3),
        ]
    )
    hinge = rod(
        (-width * 0.35, depth / 2, 0.07),
        (width * 0.35, depth / 2, 0.07),
        0.04,
        sections=6,
        tone=0.3,
    )
    parts += [moved(turned(screen, "x", -(angle - 90)), (0, depth / 2, 0.06)), hinge]
    return joined(parts)
