"""The pure functions are light: importing them loads none of the heavy libraries."""

import json
import subprocess
import sys

import pytest

LIGHT = ("sparsity", "optimizers", "models", "pruning", "data", "data.augment", "data.dataset")
HEAVY = ("tensorflow_datasets", "tensorflow", "grain", "trimesh", "embreex", "matplotlib", "orbax")


def imported_by(*rooms: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after importing some rooms."""
    lines = [f"import sparsity_jax.{room}" for room in rooms]
    program = "\n".join(["import json, sys", *lines, "print(json.dumps(list(sys.modules)))"])
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    return {name.partition(".")[0] for name in json.loads(ran.stdout)}


def test_pure_functions_import_no_heavy_library():
    assert imported_by(*LIGHT) & set(HEAVY) == set()


@pytest.mark.parametrize(
    ("room", "library"), [("data.contact_sheet", "matplotlib"), ("storage.checkpoints", "orbax")]
)
def test_a_heavy_import_would_be_seen(room, library):
    assert library in imported_by(room)
