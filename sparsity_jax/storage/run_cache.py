"""Store of finished runs: what one table has trained, another need not train again.

Each entry is a folder, `<store>/<key>/`, with a run's record and the files that it covers. The key
is a digest of the run's settings and data, not of its name, labels or timings: two tables may call
one run by different names. A run that is taken out gets its name and variant in the new table.
Every entry is verified when it is read: a damaged one is named on stderr and passed over.

Entries appear whole, by renaming a folder; two processes may share a store.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsity_jax.storage import completion
from sparsity_jax.storage.io import json_digest

FORMAT = 1  # of the entries; raise it when the same settings come to mean another run
NOT_IDENTITY = ("labels", "latency_seconds")


def key(settings: Mapping[str, Any], data: Sequence[str]) -> str:
    """Compute a run's identity: a digest of its settings and data, whatever grid it stands in.

    Args:
      settings: the fields of its `RunConfig`; labels and the time spent on latencies are left out.
      data: digests of the arrays (or of the records) that it is trained and tested on.

    Example:
      >>> key({"seed": 0, "labels": ()}, ["ab"]) == key({"seed": 0, "labels": ("data=x",)}, ["ab"])
      True
    """
    named = {name: value for name, value in settings.items() if name not in NOT_IDENTITY}
    return json_digest([FORMAT, named, list(data)])


def keep(store: Path, folder: Path, *, key: str, of: str) -> bool:
    """Put a finished run into the store, unless it is there already.

    Args:
      store: the store's folder; made if there is none.
      folder: that of the finished run.
      key: the run's identity.
      of: the digest of settings that its record was written with.

    Returns:
      Whether the store holds the run now. A store that cannot be written to is named on stderr:
      the run itself is safe in its workdir.
    """
    entry = store / key
    record, _ = completion.verify_run(folder, of=of)
    if record is None:
        return False
    try:
        if os.path.lexists(entry):
            if _sound(entry, key)[0]:
                return True
            if not (entry / completion.NAME).is_file():
                return _passed_over(entry, "is not a stored run; move it away")
        store.mkdir(parents=True, exist_ok=True)
        _place(folder, record, entry, of=key)
        return True
    except OSError as error:
        return _passed_over(entry, f"cannot be written ({error.strerror or error})")


def fetch(store: Path, folder: Path, *, key: str, of: str, name: str, variant: str) -> bool:
    """Make a run's folder from the store's entry, if it has a sound one.

    Args:
      store: the store's folder; it need not exist.
      folder: the run's, in the workdir. It is replaced with all that it holds, checkpoints too:
        ask only for runs that are not finished.
      key: the run's identity.
      of: the digest of settings that the new record gets.
      name: the run's name in this grid, and in its row and lines of history.
      variant: the run's variant in this grid.

    Returns:
      Whether the run is there now, finished.
    """
    entry = store / key
    if not os.path.lexists(entry):
        return False
    record, wrong = _sound(entry, key)
    if record is None:
        return _passed_over(entry, wrong)
    renamed = dataclasses.replace(
        record,
        result=dataclasses.replace(record.result, run=name, variant=variant),
        lines=tuple(_renamed(line, name) for line in record.lines),
    )
    try:
        _place(entry, renamed, folder, of=of)
    except OSError as error:
        return _passed_over(entry, f"cannot be copied ({error.strerror or error})")
    return True


def _sound(entry: Path, key: str) -> tuple[completion.RunRecord | None, str]:
    """The record of an entry that is a sound run of this key, or None and what is wrong."""
    if not (entry / completion.NAME).is_file():
        return None, "is not a stored run"
    return completion.verify_run(entry, of=key)


def _place(source: Path, record: completion.RunRecord, target: Path, *, of: str) -> None:
    """Copy a verified run to another place with this record; it appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = _fresh(target)
    try:
        for name in json.loads((source / completion.NAME).read_text())["files"]:
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, made / name)  # no link: the copies must not share a fate
        completion.write_run_record(made, record, of=of)
        _replace(target, made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _renamed(line: str, name: str) -> str:
    """A line of history.jsonl under another run's name; as it was if that is its own."""
    content = json.loads(line)
    return line if content["run"] == name else json.dumps({**content, "run": name})


def _fresh(target: Path) -> Path:
    """An empty folder beside the target, with the permissions of any other."""
    made = target.parent / f".{os.getpid()}.{secrets.token_hex(4)}.tmp"
    made.mkdir()
    return made


def _replace(target: Path, made: Path) -> None:
    """Rename a folder to where another may stand, which is then removed."""
    if not os.path.lexists(target):
        os.replace(made, target)
        return
    aside = _fresh(target)
    os.replace(target, aside / "gone")
    os.replace(made, target)
    shutil.rmtree(aside, ignore_errors=True)


def _passed_over(entry: Path, why: str) -> bool:
    about = why if str(entry) in why else f"{entry} {why}"
    print(f"warning: run store: {about}; the run is trained as if it were absent", file=sys.stderr)
    return False
