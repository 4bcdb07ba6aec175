"""Items of a checkpoint on disk: `state` and `arrays` as standard Orbax trees, `metadata` as JSON.

Plain Orbax opens them. Only writing needs a class of our own: Orbax writes arrays that live in one
process from process 0 alone, and here every process keeps the runs that it trains.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts
from flax.traverse_util import unflatten_dict
from orbax.checkpoint import future, type_handlers

STATE, ARRAYS, METADATA = "state", "arrays", "metadata"
_TREES = (STATE, ARRAYS)


def as_saved(state: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Make the trees of a checkpoint, item by item; every array is a copy on the host.

    Args:
      state: a pytree of arrays; of a NamedTuple, the fields become keys.
      arrays: further arrays of size > 0 by name; 'gamma/C1' becomes C1 inside gamma.

    Returns:
      Item name -> tree; an item without arrays is left out, for Orbax writes no empty tree.

    Example:
      >>> trees = as_saved({'w': np.ones(2)}, {'gamma/C1': np.ones(3)})
      >>> sorted(leaves(trees))
      ['arrays/gamma/C1', 'state/w']
    """
    fields = state._asdict() if hasattr(state, "_asdict") else state
    trees = {STATE: fields, ARRAYS: unflatten_dict(dict(arrays), sep="/")}
    return {name: jax.tree.map(np.array, tree) for name, tree in trees.items() if tree}


def leaves(tree: Any) -> dict[str, Any]:
    """List the leaves of a tree by path; fields, keys and positions stand between slashes.

    Example:
      >>> leaves({'opt_state': [{'mu': 0.5}]})
      {'opt_state/0/mu': 0.5}
    """
    found = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in found}


def save_args(trees: Mapping[str, Any], metadata: Mapping[str, Any]) -> ocp.args.Composite:
    """Make the arguments of `ocp.CheckpointManager.save`."""
    items: dict[str, Any] = {name: ocp.args.PyTreeSave(tree) for name, tree in trees.items()}
    return ocp.args.Composite(**items, **{METADATA: ocp.args.JsonSave(dict(metadata))})


def handlers(processes: ocp.options.MultiprocessingOptions) -> Any:
    """Make the registry of handlers with which a process writes its checkpoints."""
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    arrays = type_handlers.create_type_handler_registry(
        (np.ndarray, OwnArrayHandler()),
        (jax.Array, type_handlers.ArrayHandler()),  # unused; Orbax warns of its absence
    )
    for name in _TREES:
        handler = ocp.PyTreeCheckpointHandler(
            multiprocessing_options=processes,
            type_handler_registry=arrays,
            use_compression=False,  # trained weights shrink by 8 %, for more processor time
        )
        registry.add(name, ocp.args.PyTreeSave, handler)
    json = ocp.JsonCheckpointHandler(multiprocessing_options=processes)
    registry.add(METADATA, ocp.args.JsonSave, json)
    return registry


def quieten_orbax() -> None:
    """Drop what Orbax logs: failures are raised too, and tracebacks would hide our one line."""
    logging.getLogger("absl").addFilter(_is_foreign)  # once, however often it is added


def _is_foreign(record: logging.LogRecord) -> bool:
    return "orbax" not in Path(record.pathname).parts


class OwnArrayHandler(type_handlers.NumpyHandler):
    """Writes NumPy arrays from whichever process holds them; they must not change meanwhile."""

    async def serialize(
        self,
        values: Sequence[np.ndarray],
        infos: Sequence[type_handlers.ParamInfo],
        args: Sequence[type_handlers.SaveArgs] | None = None,
    ) -> Sequence[future.Future]:
        """Start writing; Orbax commits the checkpoint once the future is done."""
        told = args or [type_handlers.SaveArgs()] * len(values)
        writing = _write_all(list(zip(values, infos, told, strict=True)))
        return [future.CommitFutureAwaitingContractedSignals(writing, name="own_arrays")]


async def _write_all(arrays: Sequence[tuple[np.ndarray, Any, Any]]) -> None:
    await asyncio.gather(*(_write(*each) for each in arrays))


async def _write(value: np.ndarray, info: Any, told: Any) -> None:
    await info.await_path_creation()
    spec = type_handlers.get_json_tspec_write(
        info,
        use_ocdbt=info.is_ocdbt_checkpoint,
        global_shape=value.shape,
        local_shape=value.shape,
        dtype=value.dtype,
        process_index=jax.process_index(),
        arg=told,
    )
    store = await ts.open(ts.Spec(spec), create=True, open=True, context=info.ts_context)
    await store.write(value, can_reference_source_data_indefinitely=True)


def read_metadata(folder: Path) -> Any:
    """Read the JSON of a checkpoint; what is damaged raises what Orbax and json raise."""
    handler: Any = ocp.JsonCheckpointHandler()  # a Checkpointer would wait for other processes
    return handler.restore(folder.resolve() / METADATA)


def read_leaves(folder: Path) -> dict[str, np.ndarray]:
    """Read every array of a checkpoint; what is damaged raises what Orbax and TensorStore raise."""
    there = [name for name in _TREES if (folder / name).exists()]
    handler: Any = ocp.PyTreeCheckpointHandler()
    return leaves({name: handler.restore(folder.resolve() / name) for name in there})
