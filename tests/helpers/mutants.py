"""Copies of the modules that judge the paper's claims, each with one comparison made wrong.

A mutant has one comparison reversed, one margin removed, or one part of a conjunction dropped. The
modules are parsed, changed and run again under their names; nothing is written.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import dataclasses
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

PACKAGE = "sparsity_jax.report.paper"
MODULES = (  # in the order of their imports
    f"{PACKAGE}.pairs",
    f"{PACKAGE}.claims.judging",
    *(f"{PACKAGE}.claims.{name}" for name in ("tasks", "regularizers", "layers", "mechanism")),
    f"{PACKAGE}.claims.low_gradient",
)
REVERSED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE,
}  # fmt: skip
TEXT = ("describe", "text", "_quoted", "width_of")  # functions that judge nothing
Change = Callable[[ast.AST], None]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change: where it is, what it does, and the module's tree with it."""

    module: str
    place: str
    kind: str
    tree: ast.Module


def source(module: str) -> str:
    """Source text of one of the modules."""
    path = sys.modules[module].__file__
    assert path
    return Path(path).read_text(encoding="utf-8")


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, but of functions that only make text."""
    text = source(module)
    for index, node in enumerate(_judging_nodes(text)):
        for kind, change in _changes(node):
            changed = ast.parse(text)
            change(list(_judging_nodes(changed))[index])
            place = f"{module.rpartition('.')[2]}:{getattr(node, 'lineno', 0)}"
            yield Mutant(module, place, f"{kind} {ast.unparse(node)[:70]}", changed)


def _judging_nodes(text: str | ast.Module) -> Iterator[ast.AST]:
    tree = ast.parse(text) if isinstance(text, str) else text
    for statement in tree.body:
        if not (isinstance(statement, ast.FunctionDef) and statement.name in TEXT):
            yield from ast.walk(statement)


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in REVERSED:
        yield "reversed", _reverse
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from _changes_of_call(node, node.func.id)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        if isinstance(node.right, ast.Name) and node.right.id.isupper():
            yield "no margin", _keep_left
    elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for i in range(len(node.values)):
            yield f"without part {i}", _dropper("values", i)


def _changes_of_call(node: ast.Call, name: str) -> Iterator[tuple[str, Change]]:
    if name in ("greater", "rise", "judge"):  # `judge` is `rise`, or a rule of its own
        yield "reversed", _swap if name == "greater" else _swap_last
        if (name == "greater" and len(node.args) == 2) or name == "rise":
            yield "no margin", _without_margin
    elif name == "alike":
        yield "reversed", _negate
    elif name == "trend":
        yield "reversed", _turn
    elif name == "every" and len(node.args) > 1:
        for i in range(len(node.args)):
            yield f"without part {i}", _dropper("args", i)
    elif name == "Claim" and isinstance(node.args[3], ast.Tuple):
        for i in range(len(node.args[3].elts) if len(node.args[3].elts) > 1 else 0):
            yield f"without half {i}", _half(i)


def _reverse(node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.ops = [REVERSED[type(op)]() if type(op) in REVERSED else op for op in node.ops]


def _swap(node: ast.AST) -> None:
    assert isinstance(node, ast.Call)
    node.args[:2] = node.args[1::-1]


def _swap_last(node: ast.AST) -> None:
    assert isinstance(node, ast.Call)
    node.args[1:3] = node.args[2:0:-1]


def _without_margin(node: ast.AST) -> None:
    assert isinstance(node, ast.Call)
    node.args.append(ast.Constant(0.0))


def _negate(node: ast.AST) -> None:
    """Turn alike(...) into a call that says the opposite."""
    assert isinstance(node, ast.Call)
    inner = copy.deepcopy(node)
    node.func = ast.parse("lambda found: None if found is None else not found", mode="eval").body
    node.args, node.keywords = [inner], []


def _turn(node: ast.AST) -> None:
    assert isinstance(node, ast.Call)
    for keyword in node.keywords:
        if keyword.arg == "falls":
            keyword.value = ast.UnaryOp(ast.Not(), keyword.value)


def _keep_left(node: ast.AST) -> None:
    assert isinstance(node, ast.BinOp)
    node.right = ast.Constant(0)


def _dropper(field: str, index: int) -> Change:
    def change(node: ast.AST) -> None:
        getattr(node, field)[index] = ast.Constant(True)

    return change


def _half(index: int) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.Call)
        assert isinstance(node.args[3], ast.Tuple)
        node.args[3].elts.pop(index)

    return change


@contextlib.contextmanager
def running(mutant: Mutant | None) -> Iterator[Mapping[str, types.ModuleType]]:
    """The modules by their last names, with a mutant in place of one.

    Those that import it are run again as well, so that they see it.
    """
    kept = {name: sys.modules[name] for name in MODULES}
    alone = mutant is not None and mutant.module not in MODULES[:2]
    try:
        for name in MODULES:
            if alone and mutant and mutant.module != name:
                continue
            tree = mutant.tree if mutant and mutant.module == name else ast.parse(source(name))
            made = types.ModuleType(name)
            made.__file__ = kept[name].__file__
            sys.modules[name] = made
            exec(compile(ast.fix_missing_locations(tree), name, "exec"), made.__dict__)
        yield {name.rpartition(".")[2]: sys.modules[name] for name in MODULES}
    finally:
        sys.modules.update(kept)
