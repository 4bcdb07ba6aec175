"""Imports point down: a room imports only what stands on a lower floor, and nothing in a circle."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "sparsity_jax"

FLOORS = (
    {"errors", "naming"},
    {"shares"},
    {"data", "models", "optimizers", "sparsity"},
    {"runs", "validation"},
    {"settings"},
    {"grids", "pruning", "training", "storage"},
    {"report"},
    {"progress", "interruption", "provenance", "determinism"},
    {"hosts"},
    {"jobs"},
    {"observing", "reuse"},
    {"fitting"},
    {"finetuning"},
    {"shrinking"},
    {"outcome"},
    {"experiment", "audit", "doctor"},
    {"main", "launch"},
)


def floor(room: str) -> int:
    return next(height for height, rooms in enumerate(FLOORS) if room in rooms)


def imported(path: Path) -> set[str]:
    """Rooms that a file imports, wherever in the file the import stands."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "sparsity_jax":
                rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            rooms |= {
                a.name.split(".")[1] for a in node.names if a.name.startswith("sparsity_jax.")
            }
    return rooms - {"__version__"}


def test_every_import_points_down():
    upward = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        upward += [
            f"{path.relative_to(PACKAGE)} imports {other}"
            for other in imported(path) - {room}
            if floor(other) >= floor(room)
        ]
    assert upward == []


def test_files_stay_small():
    long = {
        str(path.relative_to(PACKAGE)): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert long == {}
