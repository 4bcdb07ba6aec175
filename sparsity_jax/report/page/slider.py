"""Histograms of gamma and beta for the page's slider, small enough to travel in it.

A cell is one byte, the square root of a share of filters: that keeps a single filter of 512 visible
beside a spike of 400 inactive ones.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from sparsity_jax.report.aggregate import run_labels
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.gamma_beta import chosen_layer, shares, value_range
from sparsity_jax.report.loading import Records, moments, thin
from sparsity_jax.storage.measurements import Measurements

BINS = 32
MOST_RUNS = 300
Ranges = dict[str, dict[str, tuple[float, float]]]
THRESHOLD = 1e-3  # |gamma| below it: inactive (the paper's Sec. 2)


def payload(records: Records, budget: int = 800_000) -> dict[str, Any]:
    """Data of the page's script, in values that JSON has.

    Returns:
      bins; ranges: layer -> {'gamma': [low, high], 'beta': [low, high]}, common to all runs; runs:
      label, color, epochs (T,), layers, filters, dead (layers, T) counts, `cells`: base64 of bytes
      (layers, T, 2, bins) with gamma before beta; `start`: index of the layer shown first.
    """
    times = moments(records.rows, budget)
    names = list(records.measures)[:MOST_RUNS]
    measures = {name: thin(records.measures[name], times) for name in names}
    ranges = _ranges(measures)
    labels, marks = run_labels(records.rows), style.marks(records.rows)
    runs = [
        {"run": name, "label": labels[name], "color": marks[name].color, **_run(measure, ranges)}
        for name, measure in measures.items()
    ]
    return {"bins": BINS, "ranges": ranges, "runs": runs}


def _ranges(measures: dict[str, Measurements]) -> Ranges:
    layers = dict.fromkeys(layer for measure in measures.values() for layer in measure.layers)
    return {
        layer: {
            kind: value_range(
                [
                    getattr(measure, kind)[layer][::2]  # half of the moments give the same range
                    for measure in measures.values()
                    if layer in measure.layers
                ]
            )
            for kind in ("gamma", "beta")
        }
        for layer in layers
    }


def _run(measure: Measurements, ranges: Ranges) -> dict[str, Any]:
    cells, dead = [], []
    for layer in measure.layers:
        gamma, beta, spans = measure.gamma[layer], measure.beta[layer], ranges[layer]
        pair = [
            shares(values, *span, BINS)
            for span, values in ((spans["gamma"], gamma), (spans["beta"], beta))
        ]
        cells.append(np.stack(pair, axis=1))
        dead.append((np.abs(gamma) < THRESHOLD).sum(axis=1).tolist())
    packed = np.round(255 * np.sqrt(np.stack(cells))).astype(np.uint8)
    return {
        "epochs": [round(float(epoch), 2) for epoch in measure.epoch],
        "layers": list(measure.layers),
        "filters": [int(measure.gamma[layer].shape[1]) for layer in measure.layers],
        "dead": dead,
        "cells": base64.b64encode(packed.tobytes()).decode(),
        "start": measure.layers.index(chosen_layer(measure)),
    }
