"""Pickles read as data: no code in them is run, and unknown classes become inert placeholders.

The opcodes come from `pickletools`; the machine below keeps their stack and their memo. A call in
the pickle is written down, never made; a handful that only hold weights are understood by whoever
asks (`torch_reader`).
"""

from __future__ import annotations

import dataclasses
import pickletools
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast

from sparsity_jax.errors import UserError

MAX_OPCODES = 10**7


@dataclasses.dataclass(frozen=True)
class Name:
    """A class or function that a pickle asks for, by name only."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclasses.dataclass(eq=False)
class Inert:
    """Placeholder of what a call would have made: callee, arguments, and what was put into it."""

    callee: Any
    arguments: Any = ()
    state: Any = None
    items: dict[Any, Any] = dataclasses.field(default_factory=dict)


class Readable(Protocol):
    """Anything that a pickle is read from."""

    def read(self, count: int = -1, /) -> bytes:
        """Read so many bytes."""
        ...

    def readline(self) -> bytes:
        """Read up to the end of the line."""
        ...


class _Mark:
    """Where the arguments of an opcode begin on the stack."""


Call = Callable[[str, tuple[Any, ...]], Any]
_MARK = _Mark()
_PLAIN = (str, int, float, bool, bytes, type(None))
_PUSHED = {
    "NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (),
}  # fmt: skip
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(file: Readable, call: Call, persistent: Callable[[Any], Any]) -> Any:
    """Read one pickle as data; the file is left behind its end.

    Args:
      file: where it begins.
      call: what a call of a known function means: (name, arguments) -> value, or NotImplemented.
      persistent: what a persistent id stands for.

    Returns:
      Lists, dicts, tuples, numbers and strings; `Inert` for anything else. Sets are lists.

    Raises:
      UserError: too many opcodes, or one that has no meaning here.
      ValueError, IndexError: damage.

    Example:
      >>> import io, pickle
      >>> content = io.BytesIO(pickle.dumps({'a': (1, 2)}))
      >>> read_pickle(content, lambda *_: NotImplemented, lambda key: key)
      {'a': (1, 2)}
    """
    machine = _Machine(call, persistent)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(Any, file))):
        if count > MAX_OPCODES:
            raise UserError("its pickle is too large to be the structure of a network")
        machine.step(opcode.name, argument)
    return machine.stack.pop()


class _Machine:
    def __init__(self, call: Call, persistent: Callable[[Any], Any]) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._call, self._persistent = call, persistent

    def step(self, name: str, argument: Any) -> None:
        """Carry out one opcode."""
        if name in _PUSHED:
            self.stack.append(_PUSHED[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self.stack[-_TUPLES[name] :] = [tuple(self._last(_TUPLES[name]))]
        elif name.endswith("PUT"):
            self._memo[int(argument)] = self.stack[-1]
        elif name.endswith("GET"):
            self.stack.append(self._memo[int(argument)])
        elif handler := _HANDLERS.get(name):
            handler(self, argument)
        elif argument is not None and not name.startswith(("EXT", "PROTO", "FRAME")):
            self.stack.append(argument)  # a number, a string, bytes
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise UserError(f"its pickle uses {name}, which weights do not need")

    def _last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("the pickle's stack is empty")
        return self.stack[-count:]

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def since_mark(self) -> list[Any]:
        at = len(self.stack) - 1 - self.stack[::-1].index(_MARK)
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def pop(self, _: Any) -> None:
        self.stack.pop()

    def pop_mark(self, _: Any) -> None:
        self.since_mark()

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def make_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.since_mark()))

    def make_list(self, _: Any) -> None:
        self.stack.append(self.since_mark())

    def make_dict(self, _: Any) -> None:
        self.stack.append(dict(_pairs(self.since_mark())))

    def append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def appends(self, _: Any) -> None:
        self._extend(self.since_mark())

    def _extend(self, values: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def set_items(self, _: Any) -> None:
        self._update(self.since_mark())

    def _update(self, values: list[Any]) -> None:
        target = self.stack[-1]
        items = target.items if isinstance(target, Inert) else target
        if isinstance(items, dict):
            items.update(_pairs(values))

    def named(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self.stack.append(Name(module, name))

    def named_by_stack(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(Name(str(module)[:200], str(name)[:200]))

    def reduce(self, _: Any) -> None:
        arguments, callee = self.stack.pop(), self.stack.pop()
        self.stack.append(self._called(callee, arguments))

    def new_with_keywords(self, _: Any) -> None:
        self.stack.pop()
        self.reduce(_)

    def instance(self, argument: Any) -> None:
        arguments = tuple(self.since_mark())
        module, _, name = str(argument).partition(" ")
        self.stack.append(self._called(Name(module, name), arguments))

    def object(self, _: Any) -> None:
        callee, *arguments = self.since_mark()
        self.stack.append(self._called(callee, tuple(arguments)))

    def _called(self, callee: Any, arguments: Any) -> Any:
        if isinstance(callee, Name) and isinstance(arguments, tuple):
            value = self._call(str(callee), arguments)
            if value is not NotImplemented:
                return value
        return Inert(callee, arguments)

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].state = state

    def persistent(self, argument: Any) -> None:
        self.stack.append(self._persistent(self.stack.pop() if argument is None else argument))


def _pairs(values: list[Any]) -> Iterable[tuple[Any, Any]]:
    """Keys and values in turn; keys that are not plain are replaced: hashing may never end."""
    for at in range(0, len(values) - 1, 2):
        key = values[at]
        yield (key if isinstance(key, _PLAIN) else object()), values[at + 1]


_HANDLERS: dict[str, Callable[[_Machine, Any], None]] = {
    "MEMOIZE": _Machine.memoize,
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    "TUPLE": _Machine.make_tuple,
    "LIST": _Machine.make_list,
    "DICT": _Machine.make_dict,
    "FROZENSET": _Machine.make_list,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.named,
    "STACK_GLOBAL": _Machine.named_by_stack,
    "INST": _Machine.instance,
    "OBJ": _Machine.object,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_with_keywords,
    "BUILD": _Machine.build,
    "PERSID": _Machine.persistent,
    "BINPERSID": _Machine.persistent,
}
