"""Meshes of vessels: jar, kettle, teapot, toaster, trophy."""

from __future__ import annotations

import numpy as np

from sparsity_jax.data.renderings.meshes.mesh import Mesh, joined, moved, turned
from sparsity_jax.data.renderings.meshes.shapes import (
    arc,
    ball,
    box,
    lathe,
    pipe,
    prism,
    rod,
    rounded,
)

Rng = np.random.Generator


def jar(rng: Rng) -> Mesh:
    """A straight or bellied glass with a shoulder, a label and a wide screw lid."""
    u = rng.uniform
    radius, height, neck = u(0.42, 0.6), u(1.0, 1.5), u(0.72, 0.92)
    belly, tone = u(0.98, 1.15), u(0.75, 0.95)
    body = [
        (radius * 0.9, 0),
        (radius, 0.06),
        (radius * belly, height * 0.45),
        (radius, height * 0.8),
        (radius * neck, height * 0.93),
        (radius * neck, height),
    ]
    lid = u(0.14, 0.24)
    parts = [
        lathe(body, tone=tone),
        rod(
            (0, 0, height),
            (0, 0, height + lid),
            radius * neck * 1.1,
            sections=16,
            tone=u(0.2, 0.45),
        ),
    ]
    if rng.random() < 0.6:
        heights = height * np.array([0.2, 0.45, 0.7])
        around = np.interp(heights, *np.array(body).T[::-1]) * 1.02
        parts.append(lathe(np.c_[around, heights], tone=0.45))
    if rng.random() < 0.3:
        parts.append(ball(0.09, (0, 0, height + lid + 0.06), tone=0.3))
    return joined(parts)


def kettle(rng: Rng) -> Mesh:
    """A wide-bottomed body with a short straight spout, a lid, and a handle arched over the top."""
    u = rng.uniform
    radius, height, tone = u(0.55, 0.68), u(0.6, 0.85), u(0.55, 0.8)
    top, rise = radius * u(0.4, 0.55), u(0.4, 0.55)
    body = [
        (radius * 0.95, 0),
        (radius, 0.08),
        (radius * 0.92, height * 0.5),
        (top * 1.25, height * 0.92),
        (top, height),
    ]
    half = radius * 0.62
    bow = arc((half, rise), 0, 180, 9)
    handle = np.c_[bow[:, 0], np.zeros(9), bow[:, 1] + height * 0.85]
    parts = [
        lathe(body, tone=tone),
        lathe(
            [(top * 0.95, height - 0.02), (top * 0.7, height + 0.07), (0.01, height + 0.1)],
            tone=tone * 0.8,
        ),
        ball(0.08, (0, 0, height + 0.15), tone=0.2),
        pipe(handle, 0.05, tone=0.25),
        rod(
            (radius * 0.7, 0, height * 0.45),
            (radius * u(1.35, 1.5), 0, height * u(0.9, 1.05)),
            0.15,
            end_radius=0.07,
            tone=tone,
        ),
        lathe([(radius * 0.9, -0.04), (radius * 0.9, 0.01)], tone=0.25),
    ]
    return joined(parts)


def teapot(rng: Rng) -> Mesh:
    """A round belly with a long curved spout on one side and a looped handle on the other."""
    u = rng.uniform
    radius, squash, tone = 0.6, u(0.72, 0.98), u(0.75, 0.95)
    height = 2 * radius * squash
    bend = np.deg2rad(np.array([-75, -45, -15, 15, 45, 70]))
    body = np.c_[radius * np.cos(bend), radius * squash * (1 + np.sin(bend))]
    lid = radius * 0.42
    reach, tip = u(1.05, 1.2), height * u(0.85, 1.0)
    spout = [
        (radius * 0.75, 0, height * 0.3),
        (radius * 1.25, 0, height * 0.4),
        (radius * 1.4, 0, height * 0.65),
        (radius * (0.6 + reach), 0, tip),
    ]
    bow = arc((u(0.38, 0.5), height * 0.32), -100, 100, 8)
    handle = np.c_[-radius * 0.8 - bow[:, 0], np.zeros(8), height * 0.52 + bow[:, 1]]
    parts = [
        lathe(body, tone=tone),
        lathe([(radius * 0.5, -0.05), (radius * 0.4, 0.1)], tone=tone * 0.7),
        lathe(
            [(lid, height * 0.95), (lid * 0.8, height * 1.03), (0.02, height * 1.09)],
            tone=tone * 0.8,
        ),
        ball(0.09, (0, 0, height * 1.12), tone=0.5),
        pipe(spout, np.array([0.17, 0.12, 0.09, 0.065]), tone=tone * 0.9),
        pipe(handle, u(0.05, 0.07), tone=tone * 0.8),
    ]
    return joined(parts)


def toaster(rng: Rng) -> Mesh:
    """A rounded box with two dark slots in the top, a lever at one end, at times with toast."""
    u = rng.uniform
    length, width, height, tone = 1.2, u(0.55, 0.75), u(0.72, 0.9), u(0.75, 0.95)
    side = rounded(width, height, u(0.1, 0.28), steps=4)
    body = moved(
        turned(turned(prism(side, -length / 2, length / 2, tone=tone), "x", 90), "z", 90),
        (0, 0, height / 2),
    )
    parts = [body]
    for y in (-0.14, 0.14):
        parts.append(box((length * 0.72, 0.1, 0.04), (0, y, height), tone=0.08))
        if rng.random() < 0.5:
            parts.append(box((length * 0.55, 0.07, u(0.2, 0.5)), (0, y, height), tone=0.6))
    end = length / 2
    parts += [
        box((0.02, 0.07, height * 0.6), (end, 0, height * 0.5), tone=0.1),
        box((0.18, 0.18, 0.08), (end + 0.08, 0, height * u(0.4, 0.75)), tone=0.2),
        rod((end, 0.18, height * 0.25), (end + 0.06, 0.18, height * 0.25), 0.07, tone=0.2),
        box((length * 1.04, width * 1.04, 0.12), (0, 0, 0.05), tone=0.25),
    ]
    return joined(parts)


def trophy(rng: Rng) -> Mesh:
    """A cup with two ear-shaped handles on a slim stem and a dark stepped base."""
    u = rng.uniform
    radius, cup, stem, tone = u(0.36, 0.5), u(0.6, 0.85), u(0.25, 0.45), u(0.75, 0.95)
    base = u(0.18, 0.35)
    low = base + stem
    body = [
        (0.24, base),
        (0.2, base + 0.06),
        (0.07, base + 0.12),
        (0.06, low),
        (radius * 0.55, low + cup * 0.12),
        (radius * 0.85, low + cup * 0.45),
        (radius * 0.9, low + cup * 0.8),
        (radius * 1.1, low + cup),
        (radius * 0.95, low + cup),
        (radius * 0.6, low + cup * 0.6),
    ]
    bow = arc((u(0.25, 0.36), cup * 0.36), -95, 95, 8)
    parts = [
        lathe(body, tone=tone),
        box((0.6, 0.6, base * 0.6), (0, 0, base * 0.3), tone=0.25),
        box((0.46, 0.46, base * 0.5), (0, 0, base * 0.75), tone=0.3),
    ]
    for side in (-1, 1):
        handle = np.c_[side * (radius * 0.8 + bow[:, 0]), np.zeros(8), low + cup * 0.55 + bow[:, 1]]
        parts.append(pipe(handle, 0.045, sections=5, tone=tone * 0.8))
    if rng.random() < 0.3:
        parts.append(
            lathe(
                [(radius, low + cup), (radius * 0.5, low + cup + 0.16), (0.02, low + cup + 0.22)],
                tone=tone * 0.85,
            )
        )
        parts.append(ball(0.09, (0, 0, low + cup + 0.28), tone=tone))
    return joined(parts)
