"""A workdir goes on with the config it was begun with, but for fields that change no result."""

import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.storage import folder
from sparsity_jax.storage.config_record import ConfigRecord, write_record


def test_fields_that_change_no_result_may_differ_and_others_may_not(tmp_path):
    write_record(tmp_path, ConfigRecord({"name": "a", "checkpoint_seconds": 60.0}))
    folder.check(tmp_path, {"name": "a", "checkpoint_seconds": None, "graphs": True})
    with pytest.raises(UserError, match=r"another config \(name: 'a' there, 'b' now\)"):
        folder.check(tmp_path, {"name": "b", "checkpoint_seconds": 60.0, "graphs": False})
