"""Meshes of vehicles on wheels: bicycle, bus, train, wheelchair."""

from __future__ import annotations

import numpy as np

from sparsity_jax.data.renderings.meshes.mesh import Mesh, joined, moved, turned
from sparsity_jax.data.renderings.meshes.shapes import (
    arc,
    box,
    loft,
    pipe,
    prism,
    ring,
    rod,
    rounded,
)

Rng = np.random.Generator
_COACH_FLOOR = 0.16


def _spoked_wheel(radius: float, x: float, y: float, *, spokes: int, tyre: float) -> list[Mesh]:
    """A thin wheel standing on the ground, its axle along y."""
    parts = [ring(radius - tyre, tyre, (x, y, radius), sections=18, sides=4, tone=0.2)]
    for k in range(spokes):
        dx, dz = (radius - tyre) * arc((1, 1), 180 * k / spokes, 180 * k / spokes, 1)[0]
        parts.append(
            rod((x - dx, y, radius - dz), (x + dx, y, radius + dz), 0.008, sections=3, tone=0.6)
        )
    return parts


def bicycle(rng: Rng) -> Mesh:
    """Two spoked wheels, a diamond frame of tubes, handlebar, saddle, crank."""
    u = rng.uniform
    radius, gap, tube, tone = u(0.31, 0.36), u(0.5, 0.56), u(0.022, 0.03), u(0.4, 0.8)
    axle_rear, axle_front = np.array((-gap, 0, radius)), np.array((gap, 0, radius))
    crank, seat = np.array((-0.08, 0, radius - 0.03)), np.array((-0.2, 0, u(0.75, 0.85)))
    head, bar = np.array((0.36, 0, u(0.76, 0.84))), u(0.05, 0.2)
    low = head + np.array(axle_front - head) * 0.3
    step = u(0.0, 0.6)
    top = seat + np.array(crank - seat) * step
    frame = (
        (axle_rear, crank),
        (axle_rear, seat),
        (crank, seat),
        (top, head),
        (crank, low),
        (head + np.array((0, 0, bar)), axle_front),
        (seat, seat + np.array((-0.03, 0, 0.12))),
    )
    parts = [rod(a, b, tube, sections=5, tone=tone) for a, b in frame]
    wide = u(0.2, 0.28)
    grip = head + np.array((0, 0, bar))
    reach = u(-0.12, 0.15)
    parts += [
        rod(grip, grip + np.array((reach, y, 0.04)), tube, sections=5, tone=0.3)
        for y in (-wide, wide)
    ]
    parts.append(box((0.26, 0.13, 0.06), seat + np.array((-0.04, 0, 0.14)), tone=0.2))
    parts.append(ring(0.08, 0.02, crank + np.array((0, -0.05, 0)), sections=8, sides=3, tone=0.3))
    parts += [
        box((0.09, 0.08, 0.03), crank + np.array((s * 0.1, s * 0.1, s * 0.1)), tone=0.2)
        for s in (-1, 1)
    ]
    for x in (-gap, gap):
        parts += _spoked_wheel(radius, x, 0, spokes=4, tyre=u(0.022, 0.035))
    return joined(parts)


def _wheels(places: list[float], half: float, radius: float) -> list[Mesh]:
    """Solid dark wheels on both sides, their outer faces at y = -half and y = half."""
    return [
        rod((x, s * (half - 0.08), radius), (x, s * half, radius), radius, sections=10, tone=0.15)
        for x in places
        for s in (-1, 1)
    ]


def _windows(
    start: float, end: float, count: int, half: float, z: float, height: float
) -> list[Mesh]:
    """A row of dark panes through a body, seen on both sides."""
    step = (end - start) / count
    return [
        box((step * 0.75, 2 * half, height), (start + (k + 0.5) * step, 0, z), tone=0.2)
        for k in range(count)
    ]


def bus(rng: Rng) -> Mesh:
    """A long box with a row of windows, a wind screen, doors and wheels; some have two decks."""
    u = rng.uniform
    length, width, low, tone = u(1.9, 2.4), u(0.55, 0.65), 0.14, u(0.65, 0.95)
    double = rng.random() < 0.3
    height = u(1.05, 1.2) if double else u(0.65, 0.8)
    half, front = width / 2, length / 2
    body = turned(prism(rounded(height, width, 0.08), -front, front, tone=tone), "y", 90)
    parts = [
        moved(body, (0, 0, low + height / 2)),
        *_wheels([-0.3 * length, 0.32 * length], half + 0.01, 0.17),
        box((0.04, width * 0.9, 0.07), (front, 0, low + 0.06), tone=0.3),
        box((0.16, width * 1.02, 0.4), (front - 0.16, 0, low + 0.28), tone=0.3),
    ]
    panes, decks = int(rng.integers(4, 8)), 2 if double else 1
    for deck in range(decks):
        z = low + height * ((deck + 0.62) / decks if double else 0.68)
        tall = height * (0.2 if double else 0.33)
        parts += _windows(-front + 0.06, front - 0.3 + 0.24 * deck, panes, half + 0.01, z, tall)
        parts.append(box((0.04, width * 0.86, tall * 1.2), (front, 0, z), tone=0.2))
        parts.append(box((0.04, width * 0.6, tall * 0.8), (-front, 0, z), tone=0.2))
    return joined(parts)


def _steam_engine(rng: Rng) -> list[Mesh]:
    """A boiler with chimney and dome in front of a cab, on many wheels, pulling a tender."""
    u = rng.uniform
    radius, length = u(0.2, 0.26), u(0.9, 1.2)
    axis = 0.3 + radius
    parts = [
        rod((-0.1, 0, axis), (length, 0, axis), radius, sections=12, tone=0.45),
        rod((length, 0, axis), (length + 0.06, 0, axis), radius * 0.9, tone=0.25),
        box((length + 0.9, 0.4, 0.1), (length / 2 - 0.3, 0, 0.28), tone=0.3),
        box((0.5, 0.52, 0.7), (-0.3, 0, 0.68), tone=0.55),
        box((0.6, 0.6, 0.06), (-0.3, 0, 1.05), tone=0.3),
        box((0.25, 0.54, 0.22), (-0.3, 0, 0.85), tone=0.15),
        rod(
            (length - 0.15, 0, axis),
            (length - 0.15, 0, axis + radius + u(0.25, 0.4)),
            0.07,
            end_radius=0.1,
            tone=0.25,
        ),
        rod((length * 0.4, 0, axis), (length * 0.4, 0, axis + radius + 0.12), 0.1, tone=0.6),
        box((0.75, 0.5, u(0.4, 0.55)), (-1.05, 0, 0.5), tone=0.4),
        rod(
            (length + 0.05, 0, 0.3),
            (length + 0.3, 0, 0.08),
            0.22,
            end_radius=0.1,
            sections=4,
            tone=0.3,
        ),
    ]
    return parts + _wheels([*np.linspace(-0.4, length - 0.1, 4), -1.25, -0.85], 0.27, 0.16)


def _coach(x: float, length: float, width: float, height: float, tone: float) -> list[Mesh]:
    """A coach around x: windows, a dark stripe, four axles, a coupling behind."""
    middle, half = _COACH_FLOOR + height / 2, width / 2
    body = turned(prism(rounded(height, width, 0.1), -length / 2, length / 2, tone=tone), "y", 90)
    axles = [x + place * length for place in (-0.38, -0.22, 0.22, 0.38)]
    return [
        moved(body, (x, 0, middle)),
        *_windows(x - length * 0.45, x + length * 0.42, 6, half + 0.01, middle + 0.08, 0.18),
        box((length * 0.98, width * 1.03, 0.05), (x, 0, middle - 0.12), tone=0.35),
        *_wheels(axles, half * 0.95, 0.1),
        box((0.14, 0.14, 0.12), (x - length / 2 - 0.05, 0, _COACH_FLOOR + 0.1), tone=0.2),
    ]


def _electric_train(rng: Rng) -> list[Mesh]:
    """An engine with a slanted nose and a pantograph, pulling one or two coaches."""
    u = rng.uniform
    width, height, tone = u(0.42, 0.5), u(0.48, 0.58), u(0.6, 0.9)
    coaches, length, slant = int(rng.integers(2, 4)), u(1.2, 1.5), u(0.1, 0.45)
    front, middle, top = length / 2, _COACH_FLOOR + height / 2, _COACH_FLOOR + height
    outline = rounded(width, height, 0.1)
    tip = outline * np.array([0.8, 0.55]) - np.array([0, 0.1])
    nose = [
        np.c_[np.full(len(flat), x), flat + np.array([0, middle])]
        for x, flat in ((front, outline), (front + slant, tip))
    ]
    parts = [loft(np.stack(nose), tone=tone * 0.9)]
    for k in range(coaches):
        parts += _coach(-k * (length + 0.1), length, width, height, tone)
    screen = (slant * 0.5 + 0.04, width * 0.75, 0.16)
    parts.append(box(screen, (front + slant * 0.3, 0, middle + 0.12), tone=0.2))
    pantograph = [(0.1, 0, top), (-0.15, 0, top + 0.14), (0.1, 0, top + 0.26)]
    parts.append(pipe(pantograph, 0.02, sections=4, tone=0.3))
    return parts


def train(rng: Rng) -> Mesh:
    """A steam engine with its tender, or an electric engine pulling one or two coaches."""
    return joined(_steam_engine(rng) if rng.random() < 0.45 else _electric_train(rng))


def wheelchair(rng: Rng) -> Mesh:
    """A seat and back between two large spoked wheels, small front wheels, foot rests, handles."""
    u = rng.uniform
    width, radius, seat, back = u(0.5, 0.62), u(0.31, 0.37), u(0.5, 0.56), u(0.45, 0.6)
    half, tone = width / 2, u(0.3, 0.5)
    parts = [
        box((0.5, width, 0.07), (0.1, 0, seat), tone=0.45),
        box((0.05, width, back * 0.8), (-0.17, 0, seat + back / 2), tone=0.45),
    ]
    for y in (-half, half):
        out = y * 1.18
        parts += _spoked_wheel(radius, -0.1, out, spokes=4, tyre=0.025)
        parts.append(ring(0.09, 0.03, (0.42, y, 0.11), sections=8, sides=4, tone=0.2))
        tubes = (
            ((-0.17, y, seat - 0.15), (-0.17, y, seat + back)),
            ((-0.17, y, seat + back), (-0.33, y, seat + back + 0.02)),
            ((-0.17, y, seat + 0.24), (0.25, y, seat + 0.24)),
            ((0.25, y, seat + 0.24), (0.32, y, seat)),
            ((-0.17, y, seat - 0.03), (0.35, y, seat - 0.03)),
            ((0.35, y, seat), (0.58, y, 0.14)),
            ((0.3, y, seat), (0.42, y, 0.12)),
            ((-0.1, y, radius), (0.38, y, 0.28)),
            ((-0.1, out, radius), (-0.1, y * 0.9, radius)),
        )
        parts += [rod(a, b, 0.022, sections=4, tone=tone) for a, b in tubes]
        parts.append(box((0.35, 0.07, 0.04), (0.05, y, seat + 0.26), tone=0.2))
        parts.append(box((0.2, half * 0.7, 0.03), (0.62, y * 0.6, 0.13), tone=0.25))
    return joined(parts)
