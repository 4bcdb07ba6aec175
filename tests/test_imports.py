"""Imports point down: a room imports only what stands on a lower floor, and nothing in a circle."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "sparsity_jax"

FLOORS = (
    {"errors"},
    {"data", "models", "optimizers", "sparsity", "distributed"},
    {"config", "pruning"},
    {"storage"},
    {"training", "report"},
    {"experiment"},
    {"main", "doctor", "audit", "launch"},
)
MOST_ARROWS = 54


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


def arrows() -> dict[tuple[str, str], list[str]]:
    """(room, room that it imports) -> the files that do."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for other in imported(path) - {room} if room != "__init__" else ():
            found.setdefault((room, other), []).append(str(path.relative_to(PACKAGE)))
    return found


def test_every_import_points_down():
    assert [
        f"{file} imports {other}"
        for (room, other), files in arrows().items()
        for file in files
        if floor(other) >= floor(room)
    ] == []


def test_there_are_few_rooms_and_few_arrows():
    assert len(arrows()) <= MOST_ARROWS
    folders = [path for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"]
    assert len(folders) <= 13
    assert len(list(PACKAGE.glob("*.py"))) <= 4


def test_files_stay_small():
    long = {
        str(path.relative_to(PACKAGE)): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert long == {}
