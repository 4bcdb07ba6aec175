"""Docstrings: every public name has one, none opens with a question, and every example holds.

Examples may use ``jax``, ``jnp``, ``np``, and a small network at the start of its training:
``plan``, ``variables``, ``apply_fn`` and four ``images``. What needs more than that is marked
``# doctest: +SKIP``.
"""

import ast
import doctest
import functools
import importlib
import io
import pkgutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sparsity_jax
from sparsity_jax.models import Conv, ConvNet, Plan
from sparsity_jax.models.convnet import init

PACKAGE = Path(sparsity_jax.__file__).parent
MODULES = sorted(info.name for info in pkgutil.walk_packages([str(PACKAGE)], "sparsity_jax."))
OPENS_A_QUESTION = ("How", "What", "Which", "Why", "Where", "When", "Who")


def documented(path: Path) -> list[tuple[str, str | None]]:
    """(name, docstring) of a file and of its public classes, functions and methods."""
    tree = ast.parse(path.read_text())
    found = [(path.relative_to(PACKAGE).as_posix(), ast.get_docstring(tree))]

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.ClassDef) or child.name[0] == "_":
                continue
            found.append((f"{prefix}:{child.name}", ast.get_docstring(child)))
            if isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}:{child.name}")

    visit(tree, found[0][0])
    return found


DOCSTRINGS = [entry for path in sorted(PACKAGE.rglob("*.py")) for entry in documented(path)]


@functools.cache
def context() -> dict[str, Any]:
    """Names that an example may use."""
    convs = (Conv(16, kernel=5, pool=True), Conv(32))
    plan = Plan("small", convs, (8, 8, 3), "global", (32,), 10)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.standard_normal((4, *plan.input_shape)), jnp.float32)

    def fresh(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:  # no program to compile
        fixed = {"scale": 1.0, "bias": 0.0, "mean": 0.0, "var": 1.0}
        values = fixed.get(path[-1].key, rng.normal(0, 0.1, leaf.shape))
        return jnp.asarray(np.broadcast_to(values, leaf.shape), leaf.dtype)

    shapes = jax.eval_shape(functools.partial(init, plan), jax.random.key(0))
    variables = jax.tree_util.tree_map_with_path(fresh, shapes)
    apply_fn = functools.partial(ConvNet(plan).apply, train=False)
    names = {"plan": plan, "variables": variables, "images": images, "apply_fn": apply_fn}
    return {"jax": jax, "jnp": jnp, "np": np, **names}


def test_every_public_name_is_documented() -> None:
    assert [name for name, docstring in DOCSTRINGS if not docstring] == []


def test_first_lines_are_phrases_that_end_with_a_period() -> None:
    first = {name: (text or "").splitlines()[0] for name, text in DOCSTRINGS if text}
    assert [name for name, line in first.items() if line.endswith("?")] == []
    assert [name for name, line in first.items() if line.split()[0] in OPENS_A_QUESTION] == []
    assert [name for name, line in first.items() if not line.endswith((".", ":"))] == []


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    output = io.StringIO()
    for test in doctest.DocTestFinder().find(module, name):
        test.globs = {**context(), **test.globs}
        runner.run(test, out=output.write)
    assert runner.failures == 0, output.getvalue()
