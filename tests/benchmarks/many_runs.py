"""How fast are many runs in one program, beside one after the other, and do they ever talk?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from cells import Goal, Row, cell, compared, verdict
from peers import COMPILED, torch_process
from terms import Found, Terms
from timing import NotMeasuredError, in_rounds
from workload import MAPPINGS, alone, one_after_the_other, quick_start, seeded, together

from sparsity_jax.training.population import MemberMapping, choose_mapping

ROOT = Path(__file__).parents[2]
TOGETHER, IN_TURN, SINGLE_PROCESS = "together", "one after the other", "one run"
_UNROLLED_SECONDS = 15.0  # to compile a member, at most; a guess


def cpu_group(terms: Terms, _: Found) -> Row:
    """Four seeds of the quick start in one program, beside one after the other."""
    terms.want("cpu")
    work, members = quick_start(4)
    if terms.quick:
        work, members = terms.work("", images=0), seeded(2)
    mapping = choose_mapping(len(members))
    columns = {
        TOGETHER: together(work, members, mapping),
        IN_TURN: one_after_the_other(work, members),
    }
    found = in_rounds(columns, **terms.pace, deadline=terms.deadline)
    found = found.divided(len(members), *columns)
    row = compared(found, ours=TOGETHER, peers=[IN_TURN], goals=[Goal(1.0, (IN_TURN,))])
    row.ours = f"{mapping.kind} {row.ours}"
    return row


def gpu_population(terms: Terms, _: Found, *, network: str, size: int) -> Row:
    """A member-step of every mapping, beside a step of a compiled PyTorch run.

    PyTorch's runs one after the other take per member-step what one takes: it compiles but one.
    """
    terms.want("gpu")
    work = terms.work(network, images=50_000)
    members = seeded(max(2, size // 4) if terms.quick else size)
    with torch_process(terms.torch_python) as torch:
        peers = torch.columns(work.program.plan, images=work.data.train_size)
        columns = {SINGLE_PROCESS: alone(work, members[0]), COMPILED: peers[COMPILED]}
        columns |= {name: together(work, members, MemberMapping(name)) for name in MAPPINGS}
        needs = {"unroll": _UNROLLED_SECONDS * len(members)}
        found = in_rounds(columns, **terms.pace, deadline=terms.deadline, needs=needs)
    found = found.divided(len(members), *MAPPINGS)
    best = found.fastest(*MAPPINGS)
    each = ", ".join(f"{name} {cell(found, name)}" for name in columns)
    if best is None:
        raise NotMeasuredError(each)
    row = compared(found, ours=best, peers=[COMPILED], goals=[Goal(3.0, (COMPILED,))])
    row.ours = f"{best} {row.ours}"
    row.details = [torch.version] if torch.version else []
    row.details += [f"population of {len(members)}, a member-step: {each}"]
    return row


def collectives(terms: Terms, _: Found) -> Row:
    """Of a population on eight virtual devices, in a process of its own."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    own = {"JAX_NUM_CPU_DEVICES": "8", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "helpers" / "on_eight_devices.py")],
        env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NotMeasuredError((done.stderr.strip().splitlines() or ["it failed"])[-1][:400])
    found = json.loads(done.stdout.splitlines()[-1])
    kinds = found["collectives"]
    bits = "the bits" if found["shard_map is one device"] else "not the bits"
    return Row(
        ours=f"{', '.join(kinds) or '0 collectives'}; {bits} of one device",
        goal=f"0 collectives: {verdict(not kinds)}",
    )
