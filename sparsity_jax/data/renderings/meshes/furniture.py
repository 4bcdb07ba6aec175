"""Meshes of furniture: bed, bench, bookshelf, chair, piano, sofa, tub."""

from __future__ import annotations

import numpy as np

from sparsity_jax.data.renderings.meshes.mesh import Mesh, joined, moved, turned
from sparsity_jax.data.renderings.meshes.shapes import arc, ball, box, loft, prism, rod, rounded

Rng = np.random.Generator


def _legs(
    width: float,
    depth: float,
    height: float,
    radius: float,
    *,
    splay: float = 0.0,
    tone: float = 0.5,
) -> list[Mesh]:
    """Four legs below the corners of a width x depth rectangle, feet pushed outwards by splay."""
    return [
        rod(
            (x * (width / 2 + splay), y * (depth / 2 + splay), 0),
            (x * width / 2, y * depth / 2, height),
            radius,
            sections=6,
            tone=tone,
        )
        for x in (-1, 1)
        for y in (-1, 1)
    ]


def bed(rng: Rng) -> Mesh:
    """Mattress and blanket on a frame, a head board, a lower foot board, one or two pillows."""
    u = rng.uniform
    length, width, base, thick = 2.0, u(0.95, 1.6), u(0.2, 0.35), u(0.16, 0.28)
    top = base + thick
    head, foot, cover = top + u(0.3, 0.65), top + u(-0.05, 0.15), u(0.5, 0.7) * length
    parts = [
        box((length, width, 0.1), (0, 0, base), tone=0.45),
        box((length - 0.06, width - 0.06, thick), (0, 0, base + thick / 2), tone=0.95),
        box((0.08, width + 0.06, head), (-length / 2, 0, head / 2), tone=0.45),
        box((0.07, width + 0.06, foot), (length / 2, 0, foot / 2), tone=0.45),
        box(
            (cover, width + 0.02, thick + 0.02),
            (length / 2 - 0.04 - cover / 2, 0, base + thick / 2 + 0.03),
            tone=u(0.6, 0.75),
        ),
        *_legs(length - 0.1, width - 0.1, base, 0.05),
    ]
    pillows = 2 if width > 1.2 else 1
    for k in range(pillows):
        y = (k - (pillows - 1) / 2) * width / 2
        parts.append(
            ball((0.2, width / pillows * 0.42, 0.12), (-length / 2 + 0.3, y, top + 0.05), tone=1.0)
        )
    return joined(parts)


def bench(rng: Rng) -> Mesh:
    """A long slatted seat on two supports, mostly with a slatted back and arm rests."""
    u = rng.uniform
    length, depth, height, thick = 2.0, u(0.42, 0.6), u(0.42, 0.55), 0.06
    slats = int(rng.integers(3, 5))
    parts = [
        box(
            (length, 0.8 * depth / slats, thick),
            (0, (k + 0.5) / slats * depth - depth / 2, height),
            tone=0.8,
        )
        for k in range(slats)
    ]
    back = u(0.4, 0.6) if rng.random() < 0.8 else 0.0
    for row in range(3 if back else 0):
        z = height + back * (row + 1) / 3
        parts.append(
            box((length, 0.05, 0.22 * back), (0, depth / 2 + 0.15 * (z - height), z), tone=0.8)
        )
    inset = u(0.75, 0.95) * length / 2
    for x in (-inset, inset):
        for y in (-depth / 2 + 0.05, depth / 2 - 0.05):
            parts.append(rod((x, y * 1.15, 0), (x, y, height), 0.05, sections=6, tone=0.4))
        parts.append(box((0.07, depth, 0.06), (x, 0, height - 0.05), tone=0.4))
        if back:
            parts.append(
                rod(
                    (x, depth / 2, height - 0.05),
                    (x, depth / 2 + 0.15 * back + 0.03, height + back * 1.05),
                    0.045,
                    sections=6,
                    tone=0.4,
                )
            )
            parts.append(box((0.08, depth, 0.05), (x, 0, height + 0.25), tone=0.4))
            parts.append(box((0.06, 0.06, 0.25), (x, -depth / 2 + 0.04, height + 0.12), tone=0.4))
    return joined(parts)


def bookshelf(rng: Rng) -> Mesh:
    """A tall case of three to five rows of books of many heights and tones; half have no back."""
    u = rng.uniform
    width, depth, height = u(0.75, 1.25), u(0.28, 0.4), u(1.5, 2.0)
    rows = int(rng.integers(3, 6))
    wood, step = u(0.7, 0.85), (height - 0.06) / rows
    parts = [box((0.06, depth, height), (x * width / 2, 0, height / 2), tone=wood) for x in (-1, 1)]
    if rng.random() < 0.5:
        parts.append(box((width, 0.04, height * 0.98), (0, depth / 2, height / 2), tone=0.55))
    parts += [
        box((width, depth, 0.06), (0, 0, 0.03 + row * step), tone=wood) for row in range(rows + 1)
    ]
    for row in range(rows):
        x = -width / 2 + 0.05
        while x < width / 2 - u(0.08, 0.4):
            thick, tall = u(0.07, 0.16), u(0.5, 0.85) * step
            parts.append(
                box(
                    (thick * 0.9, 0.7 * depth, tall),
                    (x + thick / 2, 0.0, 0.06 + row * step + tall / 2),
                    tone=u(0.2, 1.0),
                )
            )
            x += thick
    return joined(parts)


def chair(rng: Rng) -> Mesh:
    """A seat, a solid or slatted back, four legs or a swivelling foot, at times arm rests."""
    u = rng.uniform
    width, depth, height, thick = 1.0, u(0.9, 1.1), u(0.85, 1.15), u(0.07, 0.14)
    back, lean, cushion = u(0.9, 1.35), u(0.05, 0.25), u(0.65, 0.9)
    parts = [box((width, depth, thick), (0, 0, height), tone=cushion)]
    rear = depth / 2 - 0.06
    if rng.random() < 0.5:
        panel = box((width * 0.95, 0.09, back * 0.75), (0, 0, back * 0.6), tone=cushion)
        parts.append(moved(turned(panel, "x", -np.rad2deg(lean / back)), (0, rear, height)))
    else:
        bars = int(rng.integers(3, 6))
        parts += [
            rod((x, rear, height), (x, rear + lean, height + back), 0.035, sections=5, tone=0.55)
            for x in np.linspace(-0.4, 0.4, bars)
        ]
        parts.append(box((width, 0.08, 0.2), (0, rear + lean, height + back), tone=cushion))
    parts += [
        rod((x, rear, height), (x, rear + lean, height + back), 0.05, sections=6, tone=0.5)
        for x in (-0.45, 0.45)
    ]
    if rng.random() < 0.75:
        parts += _legs(width - 0.1, depth - 0.1, height, u(0.04, 0.07), splay=u(0, 0.12))
    else:
        parts += _star_foot(height)
    if rng.random() < 0.35:
        for x in (-0.48, 0.48):
            parts.append(box((0.08, depth * 0.8, 0.06), (x, 0.08, height + 0.42), tone=0.5))
            parts.append(box((0.06, 0.06, 0.4), (x, -depth * 0.25, height + 0.22), tone=0.5))
    return joined(parts)


def _star_foot(height: float) -> list[Mesh]:
    """One column on five toes, as office chairs have."""
    toes = 0.5 * arc((1, 1), 0, 288, 5)
    parts = [rod((0, 0, 0.16), (*toe, 0.05), 0.05, sections=5, tone=0.4) for toe in toes]
    return [rod((0, 0, 0.12), (0, 0, height), 0.07, tone=0.4), *parts]


def _keys(width: float, y: float, z: float, depth: float) -> list[Mesh]:
    """A white key bed with black keys in groups of two and three."""
    parts = [box((width, depth, 0.05), (0, y, z), tone=1.0)]
    for octave in range(3):
        for place in (1, 2, 4, 5, 6):
            x = ((octave * 7 + place) / 21 - 0.5) * width
            parts.append(
                box((width / 40, depth * 0.6, 0.05), (x, y + depth * 0.2, z + 0.03), tone=0.08)
            )
    return parts


def piano(rng: Rng) -> Mesh:
    """An upright case with a shelf of keys, or a grand piano with its lid open."""
    u = rng.uniform
    dark = u(0.3, 0.5)
    if rng.random() < 0.5:
        width, height, depth = 1.5, u(1.1, 1.4), u(0.4, 0.5)
        parts = [
            box((width, depth, height), (0, depth / 2, height / 2), tone=dark),
            box((width * 1.02, depth * 1.06, 0.05), (0, depth / 2, height), tone=dark * 1.3),
            box((width, 0.4, 0.12), (0, -0.15, 0.62), tone=dark),
            box((0.6, 0.03, 0.25), (0, -0.03, 0.98), tone=dark * 1.6),
            box((0.3, 0.1, 0.05), (0, -0.03, 0.1), tone=0.9),
            *_keys(width * 0.9, -0.2, 0.69, 0.25),
        ]
        parts += [box((0.1, 0.1, 0.6), (x, -0.28, 0.3), tone=dark) for x in (-0.68, 0.68)]
        return joined(parts)
    length, width = u(1.3, 1.8), 1.5
    tail = arc((0.5 * width, 0.35 * length), 0, 90, 5) + np.array([-0.25 * width, 0.65 * length])
    outline = np.concatenate(
        [[(-width / 2, 0), (width / 2, 0), (width / 2, 0.3 * length)], tail, [(-width / 2, length)]]
    )
    lid = turned(
        moved(prism(outline, 0, 0.04, tone=dark * 1.3), (width / 2, 0, 0)), "y", -u(28, 45)
    )
    parts = [
        prism(outline, 0.62, 0.9, tone=dark),
        prism(outline * 0.9 + np.array([0, 0.08]), 0.88, 0.91, tone=0.75),
        moved(lid, (-width / 2, 0, 0.93)),
        box((width, 0.35, 0.12), (0, -0.15, 0.68), tone=dark),
        rod((0.3 * width, 0.4 * length, 0.9), (0.12 * width, 0.4 * length, 1.25), 0.02, sections=4),
        *_keys(width * 0.88, -0.18, 0.76, 0.25),
    ]
    feet = ((-0.6, 0.05), (0.6, 0.05), (-0.35, length * 0.85))
    parts += [rod((x, y, 0), (x, y, 0.65), 0.05, end_radius=0.09, tone=dark) for x, y in feet]
    return joined(parts)


def sofa(rng: Rng) -> Mesh:
    """A wide upholstered seat between two arms with two or three seat and back cushions."""
    u = rng.uniform
    width, depth, seat, back = u(1.8, 2.4), u(0.85, 1.0), u(0.4, 0.5), u(0.85, 1.05)
    arm, arm_top, tone = u(0.18, 0.3), u(0.6, 0.72), u(0.5, 0.75)
    inner = width - 2 * arm
    cushions = 2 if inner < 1.6 else 3
    parts = [
        box((width, depth, seat - 0.2), (0, 0, seat / 2), tone=tone),
        box((width, 0.22, back - 0.1), (0, depth / 2 - 0.1, back / 2 + 0.05), tone=tone),
        *_legs(width - 0.2, depth - 0.2, 0.15, 0.04, tone=0.25),
    ]
    for x in (-1, 1):
        middle = x * (width - arm) / 2
        parts.append(box((arm, depth, arm_top - 0.1), (middle, 0, arm_top / 2 + 0.05), tone=tone))
        parts.append(
            rod((middle, -depth / 2, arm_top), (middle, depth / 2, arm_top), arm * 0.55, tone=tone)
        )
    for k in range(cushions):
        x, size = (k - (cushions - 1) / 2) * inner / cushions, inner / cushions * 0.95
        parts.append(box((size, depth * 0.72, 0.18), (x, -0.12, seat), tone=tone * 1.25))
        parts.append(
            box(
                (size, 0.16, back - seat),
                (x, depth / 2 - 0.28, (back + seat) / 2 + 0.08),
                tone=tone * 1.15,
            )
        )
    return joined(parts)


def tub(rng: Rng) -> Mesh:
    """A bathtub: an oval hollow shell with a rim, on claw feet or a plinth, with a tap."""
    u = rng.uniform
    length, width, height = 1.7, u(0.7, 0.9), u(0.5, 0.65)
    slipper = u(0.0, 0.22)
    outline = rounded(length, width, width * u(0.3, 0.5), steps=5)
    levels = (
        (0.72, 0.12),
        (0.92, 0.45),
        (1.0, 1.0),
        (1.06, 1.0),
        (1.06, 1.06),
        (0.92, 1.06),
        (0.84, 0.5),
        (0.66, 0.22),
    )
    rings = np.empty((len(levels), len(outline), 3))
    for k, (scale, z) in enumerate(levels):
        rings[k, :, :2] = outline * scale
        lift = slipper * z * np.clip(outline[:, 0] / length, 0, 1) * 2
        rings[k, :, 2] = z * height + lift
    shell = loft(rings, tone=1.0)
    tap = length * 0.5
    parts = [
        shell,
        rod((-tap, 0, height), (-tap, 0, height + 0.25), 0.035, tone=0.4),
        rod((-tap, 0, height + 0.22), (-tap + 0.2, 0, height + 0.18), 0.03, tone=0.4),
    ]
    if rng.random() < 0.6:
        parts += [
            ball((0.09, 0.09, 0.12), (x * length * 0.3, y * width * 0.3, 0.06), tone=0.45)
            for x in (-1, 1)
            for y in (-1, 1)
        ]
    else:
        parts.append(prism(outline * 0.8, 0.0, height * 0.2, tone=0.6))
    return joined(parts)
