"""Cost of watching filters, gain of cutting the dead ones, and cost of measuring.

    python tests/benchmarks/alive.py [--only ROW ...] [--rounds=9] [--quick]

The columns of a row take turns in one process. Printed are medians of processor time (user and
system: other work on the machine slows a clock on the wall, and this hardly), and page faults.
--quick measures in miniature, to see that it works: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import functools
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.data.stream import Arrays, StreamedImages
from sparsity_jax.models import Plan, make_plan
from sparsity_jax.models.convnet import init, logits
from sparsity_jax.sparsity import recording
from sparsity_jax.sparsity.corpus import measure_corpus
from sparsity_jax.training import DeviceDataset, Hparams, ProgramConfig, init_state, train_steps
from sparsity_jax.training.evaluate import evaluate

PUBLISHED = (44, 22, 6, 45, 54, 96, 95)  # Table S1: BasicNet, Adam, L2 1e-4, inactive % by layer


class Used(NamedTuple):
    """Processor seconds and page faults of one call."""

    seconds: float
    faults: int


def used(call: Callable[[], object]) -> Used:
    """Processor time and page faults of this process in a call."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    call()
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Used(seconds, after.ru_minflt - before.ru_minflt)


def in_turns(columns: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[Used]]:
    """Call every column once to compile, then in turns, each round in another order."""
    found: dict[str, list[Used]] = {name: [] for name in columns}
    for call in columns.values():
        call()
    for turn in range(rounds):
        names = list(columns) if turn % 2 else list(reversed(columns))
        for name in names:
            found[name].append(used(columns[name]))
    return found


def data_of(plan: Plan, images: int) -> DeviceDataset:
    """Random pictures of the plan's shape."""
    rng, channels = np.random.default_rng(0), plan.input_shape[-1:]
    pictures = [
        jnp.asarray(rng.integers(0, 256, (count, *plan.input_shape)).astype(np.uint8))
        for count in (images, 1)
    ]
    labels = [jnp.zeros(count, jnp.int32) for count in (images, 1)]
    constants = jnp.full(channels, 0.5), jnp.full(channels, 0.25)
    return DeviceDataset(pictures[0], labels[0], pictures[1], labels[1], *constants)


def stepping(plan: Plan, steps: int, *, activity: bool = False) -> Callable[[], object]:
    """A call that takes the next `steps` steps of a run of its own."""
    data = data_of(plan, 400)
    program = ProgramConfig(plan, "adam", "l2", "schedule", 40, (), True, activity=activity)
    hparams = Hparams(*(jnp.float32(v) for v in (1e-3, 1e-4, 1, 1, 0)), seed=jnp.uint32(0))
    state = [init_state(program, hparams)]

    def call() -> None:
        until = int(state[0].step) + steps
        state[0] = train_steps(program, hparams, data, state[0], until=until)

    return call


def basic_net(width: str, size: int = 32) -> Plan:
    """BasicNet on RGB pictures of this size."""
    return make_plan("BasicNet", classes=10, input_shape=(size, size, 3), width=width)


def cut_step(rounds: int, *, quick: bool) -> dict[str, list[Used]]:
    """A call of BasicNet at width 1, dense and cut to the published sparsity.

    Of 50 steps, as training calls it: the pages of a call's buffers are faulted in once a call.
    """
    dense, steps = (basic_net("0.0625"), 2) if quick else (basic_net("1"), 50)
    kept = [
        max(1, round(conv.filters * (1 - share / 100)))
        for conv, share in zip(dense.convs, PUBLISHED, strict=True)
    ]
    cut = dense.with_filters(kept)
    return in_turns({"dense": stepping(dense, steps), "cut": stepping(cut, steps)}, rounds)


def watching(rounds: int, *, quick: bool) -> dict[str, list[Used]]:
    """Steps at width 0.25 with and without a record of every filter's activity."""
    plan, steps = basic_net("0.25", 16 if quick else 32), 2 if quick else 40
    columns = {
        "not watched": stepping(plan, steps),
        "watched": stepping(plan, steps, activity=True),
    }
    return in_turns(columns, rounds)


def measuring(rounds: int, *, quick: bool) -> dict[str, list[Used]]:
    """Activation sparsity and universality of 10,000 pictures at width 0.25."""
    plan = basic_net("0.0625" if quick else "0.25")
    images = np.asarray(data_of(plan, 200 if quick else 10_000).train_images)
    variables = init(plan, jax.random.key(0))

    def call(batch_size: int, name: str, at_once: dict[str, int]) -> object:
        apply_fn = _named(plan, name)
        usual, recording._AT_ONCE = recording._AT_ONCE, at_once
        try:
            return measure_corpus(
                apply_fn, variables, images, batch_size=batch_size, preprocess=_scaled
            )
        finally:
            recording._AT_ONCE = usual

    columns = {
        "batches of 500": functools.partial(call, 500, "500", {}),
        "batches of 40": functools.partial(call, 40, "40", {}),
        "a loop of 40 in calls of 2,000": functools.partial(call, 2_000, "loop", {"cpu": 40}),
    }
    return in_turns(columns, rounds)


def evaluating(rounds: int, *, quick: bool) -> dict[str, list[Used]]:
    """Loss and errors of 10,000 pictures at width 0.25: calls of a batch each, and one loop."""
    plan = basic_net("0.0625" if quick else "0.25")
    data = data_of(plan, 200 if quick else 10_000)
    images, labels = np.asarray(data.train_images), np.asarray(data.train_labels)
    score = functools.partial(
        evaluate, plan, init(plan, jax.random.key(0)), mean=data.mean, std=data.std
    )
    in_calls = StreamedImages(Arrays(images, labels))
    columns = {
        f"batches of {size}": functools.partial(score, in_calls, labels, batch_size=size)
        for size in (500, 40)
    }
    columns["one loop of 40"] = functools.partial(score, images, labels)
    return in_turns(columns, rounds)


@functools.cache
def _named(plan: Plan, name: str) -> Callable[..., jax.Array]:
    """The network as a function of its own, so that every column compiles its own program."""
    del name
    return lambda variables, images: logits(plan, variables, images)


def _scaled(images: jax.Array) -> jax.Array:
    return images.astype(jnp.float32) / 255 - 0.5


ROWS: dict[str, Callable[..., dict[str, list[Used]]]] = {
    "cut-step": cut_step,
    "watching": watching,
    "measuring": measuring,
    "evaluating": evaluating,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args(arguments)
    for name in asked.only:
        found = ROWS[name](1 if asked.quick else asked.rounds, quick=asked.quick)
        first = [each.seconds for each in next(iter(found.values()))]
        for column, each in found.items():
            seconds = np.array([one.seconds for one in each])
            ratio = np.median(seconds / first)
            print(
                f"{name}, {column}: {np.median(seconds):.3f} s of processor time "
                f"(least {seconds.min():.3f}), {np.median([one.faults for one in each]):,.0f} page "
                f"faults, {ratio:.3f} of the first column's (median of the rounds' ratios)",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
