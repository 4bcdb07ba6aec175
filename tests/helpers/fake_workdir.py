"""A made-up workdir that looks like the quick start's: no training, the same files.

Each filter has a fate: it lives with a positive gamma, or its gamma decays to nothing from some
moment on. Shares of dead filters follow what the paper saw: Adam with L2 many, SGD with L2 few.
"""

from __future__ import annotations

import dataclasses
import zlib
from pathlib import Path

import numpy as np

from sparsity_jax.config.naming import strength_text
from sparsity_jax.storage.config_record import ConfigRecord, write_record
from sparsity_jax.storage.history import Evaluation, append_history
from sparsity_jax.storage.measurements import Measurements, write_measurements
from sparsity_jax.storage.pruned import Cost, FileSizes, Latency, PrunedRecord, write_pruned
from sparsity_jax.storage.results import RunResult, write_results

FILTERS = (16, 32, 32, 64, 64, 128, 128)
LAYERS = tuple(f"C{i}" for i in range(1, len(FILTERS) + 1))
SHAPE = (0.35, 0.15, 0.1, 0.5, 0.6, 1.45, 1.6)  # how a layer's share relates to the total
ERRORS = {"l2": 1.7, "wd": 1.6, "none": 1.5}


@dataclasses.dataclass(frozen=True)
class Fake:
    """One run to be made up: `dead` is the share of its filters that die, in [0, 1]."""

    optimizer: str
    regularizer: str
    strength: float
    dead: float
    seed: int = 0
    batch_size: int = 40
    variant: str = ""
    diverged: bool = False
    dataset: str = "renderings"

    @property
    def run(self) -> str:
        """The run's name."""
        kind = (
            "none"
            if self.regularizer == "none"
            else (f"{self.regularizer}_{strength_text(self.strength)}")
        )
        variant = f"_{self.variant}" if self.variant else ""
        return f"{self.optimizer}_{kind}_b{self.batch_size}{variant}_seed{self.seed}"


QUICKSTART = (
    Fake("adam", "l2", 1e-3, 0.31),
    Fake("adam", "wd", 1e-3, 0.22),
    Fake("sgd", "l2", 1e-3, 0.015),
    Fake("adam", "none", 0.0, 0.0),
    Fake("sgd", "wd", 1e-2, 0.0, diverged=True),
)


def write(
    workdir: Path,
    fakes: tuple[Fake, ...] = QUICKSTART,
    *,
    evaluations: int = 40,
    filters: tuple[int, ...] = FILTERS,
    universality: bool = False,
) -> list[RunResult]:
    """Write the workdir of `fakes` and returns its rows."""
    workdir.mkdir(parents=True, exist_ok=True)
    rows = [
        _write_run(workdir, fake, evaluations, filters, universality=universality) for fake in fakes
    ]
    write_results(workdir / "results.csv", rows)
    config = {
        "name": "quickstart", "data": "renderings", "network": "BasicNet", "width": "0.25",
        "batch_size": 40, "epochs": 48, "drops": ((40, 0.1),), "seeds": 1, "scale": 1.0,
        "renderings": {"size": 16, "background": "clean", "train_views": 5000},
    }  # fmt: skip
    record = ConfigRecord(
        config=config,
        runs=tuple(fake.run for fake in fakes),
        versions={"jax": "0.12.0", "flax": "0.12.2", "python": "3.12.4"},
        devices=("cpu: 2 cores",),
        commit=None,
        command="python -m sparsity_jax.main --config=configs/quickstart.py",
    )
    write_record(workdir, record)
    return rows


def curves(
    rng: np.random.Generator, fake: Fake, filters: int, share: float, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """gamma and beta of one layer over `times` in [0, 1]: both (T, filters)."""
    t = times[:, None]
    settled = np.clip(rng.normal(0.55, 0.14, filters), 0.12, None)
    gamma = settled + (1 - settled) * np.exp(-t * 9) + rng.normal(0, 0.012, (len(times), filters))
    mean = -0.28 if fake.optimizer != "sgd" else -0.06
    beta = rng.normal(mean, 0.1, filters) * (1 - np.exp(-t * 8))
    if fake.optimizer != "sgd":
        beta = -np.abs(beta)
    dead = np.arange(filters) < round(share * filters)
    death = rng.uniform(0.1, 0.75, filters)
    decay = np.where(dead & (t > death), np.exp(-(t - death) * 90), 1.0)
    return (gamma * decay).astype(np.float32), (beta * decay).astype(np.float32)


def activity(
    fake: Fake, paths: dict[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, dict[str, np.ndarray]]:
    """Of filters that fire as their gamma says, and whose loss pulls less before they die."""
    gammas = {name: np.abs(gamma) for name, (gamma, _) in paths.items()}
    dies = {name: np.where(gamma[-1] < 1e-3, 0.2, 1.0) for name, gamma in gammas.items()}
    return {
        "fired": {name: np.minimum(gamma, 1) for name, gamma in gammas.items()},
        "train_peak": {name: 3 * gamma for name, gamma in gammas.items()},
        "decay": {name: fake.strength * gamma for name, gamma in gammas.items()},
        "pull": {name: 1e-3 * np.ones_like(g) * dies[name] for name, g in gammas.items()},
    }


def confusions(rng: np.random.Generator, error: float, classes: int = 10) -> np.ndarray:
    """Of 100 test images of each class, `error` percent of all taken for the next two classes."""
    truth = np.repeat(np.arange(classes), 100)
    wrong = rng.choice(len(truth), round(error / 100 * len(truth)), replace=False)
    taken = truth.copy()
    taken[wrong] = (truth[wrong] + rng.integers(1, 3, len(wrong))) % classes
    found, counts = np.unique(np.stack([truth, taken], axis=1), axis=0, return_counts=True)
    return np.column_stack([found, counts]).astype(np.int32)


def _write_run(
    workdir: Path, fake: Fake, evaluations: int, filters: tuple[int, ...], *, universality: bool
) -> RunResult:
    rng = np.random.default_rng(zlib.crc32(fake.run.encode()))
    times = np.linspace(0, 1, evaluations)
    shape = np.resize(np.array(SHAPE), len(filters))
    shares = np.clip(fake.dead * shape / np.average(shape, weights=filters), 0, 0.97)
    names = tuple(f"C{i}" for i in range(1, len(filters) + 1))
    paths = {
        name: curves(rng, fake, n, share, times)
        for name, n, share in zip(names, filters, shares, strict=True)
    }
    inactive = {name: np.abs(gamma[-1]) < 1e-3 for name, (gamma, _) in paths.items()}
    over_time = {name: 100 * (np.abs(g) < 1e-3).mean(1) for name, (g, _) in paths.items()}
    total = sum(over_time[name] * n for name, n in zip(names, filters, strict=True)) / sum(filters)
    folder = workdir / "runs" / fake.run
    steps = np.round(times * 6000).astype(int)
    error = ERRORS[fake.regularizer] + 80 * np.exp(-times * 12) + rng.normal(0, 0.08, evaluations)
    loss = 0.02 + 2.2 * np.exp(-times * 10)
    lost = (times > 0.3) & fake.diverged
    error, loss = np.where(lost, np.nan, error), np.where(lost, np.nan, loss)
    append_history(workdir / "history.jsonl", [
        Evaluation(
            run=fake.run, step=int(steps[i]), epoch=float(times[i] * 48),
            learning_rate=1e-3 if times[i] < 0.85 else 1e-4, train_loss=float(loss[i]),
            test_loss=float(loss[i] * 1.3), test_error=float(error[i]), top5_error=0.1,
            sparsity_gamma=float(total[i]), layers={n: float(over_time[n][i]) for n in names},
        )
        for i in range(evaluations) if not (fake.diverged and times[i] > 0.4)
    ])  # fmt: skip
    identity = {
        "run": fake.run, "dataset": fake.dataset, "network": "BasicNet", "variant": fake.variant,
        "optimizer": fake.optimizer, "regularizer": fake.regularizer, "strength": fake.strength,
        "batch_size": fake.batch_size, "seed": fake.seed,
    }  # fmt: skip
    if fake.diverged:
        return RunResult(**identity, steps=1800, status="diverged", seconds=11.2)
    write_measurements(folder / "measure.npz", Measurements(
        step=steps, epoch=times * 48,
        gamma={name: gamma for name, (gamma, _) in paths.items()},
        beta={name: beta for name, (_, beta) in paths.items()},
        inactive_gamma=inactive, inactive_act=inactive, **activity(fake, paths),
        universality={
            name: np.where(inactive[name], 0.0, 100 * rng.beta(1.2 + 0.1 * n / 16, 1.0, n))
            for name, n in zip(names, filters, strict=True)
        } if universality else {},
        confusion=confusions(rng, float(error[-1])),
    ))  # fmt: skip
    pruned = _pruned(inactive, filters, float(error[-1]))
    write_pruned(folder / "pruned.json", pruned)
    dropped = pruned.dense.filters - pruned.pruned.filters
    return RunResult(
        **identity, steps=6000, train_loss=float(loss[-1]), test_loss=float(loss[-1] * 1.3),
        test_error=float(error[-1]), top5_error=0.1, sparsity_act=float(total[-1]) + 0.2,
        sparsity_gamma=float(total[-1]), layers=tuple(100 * float(m.mean()) for m in
        inactive.values()), features_pruned=dropped,
        features_pruned_pct=100 * dropped / pruned.dense.filters,
        params_pruned_pct=100 * (1 - pruned.pruned.conv_params / pruned.dense.conv_params),
        pruned_test_error=pruned.pruned_test_error, pruned_top5_error=0.1,
        seconds=float(rng.uniform(28, 40)),
    )  # fmt: skip


def _pruned(
    inactive: dict[str, np.ndarray], filters: tuple[int, ...], error: float
) -> PrunedRecord:
    kept = [max(1, int((~mask).sum())) for mask in inactive.values()]
    return PrunedRecord(
        threshold=1e-3, test_error=error, masked_test_error=error, pruned_test_error=error,
        masked_act_error=error,
        max_logit_difference=2.4e-6, dense=_counts(filters), pruned=_counts(kept),
        layers={
            name: {"filters": n, "kept": k}
            for name, n, k in zip(inactive, filters, kept, strict=True)
        },
        file_bytes=FileSizes(4 * sum(filters), 4 * sum(kept)),
        latency=tuple(
            Latency(batch, 0.03 * batch + 0.2, 0.03 * batch * sum(kept) / sum(filters) + 0.2, 2.0)
            for batch in (1, 32, 256)
        ),
    )  # fmt: skip


def _counts(filters: tuple[int, ...] | list[int]) -> Cost:
    params, macs, inputs, side = 0, 0, 1, 16
    for i, n in enumerate(filters):
        weights = (25 if i == 0 else 9) * inputs * n
        params, macs, inputs = params + weights, macs + weights * side * side, n
        side = max(1, side // 2) if i in (0, 2, 4) else side
    return Cost(sum(filters), params, params + 256 * inputs + 2570, macs)
