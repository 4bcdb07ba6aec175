"""A workdir goes on with the config it was begun with, but for fields that change no result."""

import pytest

from sparsity_jax.config.base import LATER_FIELDS, default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.errors import UserError
from sparsity_jax.storage import folder
from sparsity_jax.storage.completion import settings_digest
from sparsity_jax.storage.config_record import ConfigRecord, write_record


def test_fields_that_change_no_result_may_differ_and_others_may_not(tmp_path):
    write_record(tmp_path, ConfigRecord({"name": "a", "checkpoint_seconds": 60.0}))
    folder.check(tmp_path, {"name": "a", "checkpoint_seconds": None, "graphs": True})
    with pytest.raises(UserError, match=r"another config \(name: 'a' there, 'b' now\)"):
        folder.check(tmp_path, {"name": "b", "checkpoint_seconds": 60.0, "graphs": False})


def test_a_workdir_of_before_a_field_goes_on_with_the_value_that_changes_nothing(tmp_path):
    write_record(tmp_path, ConfigRecord({"name": "a"}))
    folder.check(tmp_path, {"name": "a", **LATER_FIELDS})
    with pytest.raises(UserError, match=r"0\.0 there, 0\.5 now.* --config\.dropout=0\.0 to"):
        folder.check(tmp_path, {"name": "a", "dropout": 0.5})


def test_a_run_is_the_one_that_earlier_versions_knew():
    """The digest of the default run at 8de0df8: if it changes, older workdirs end their lives.

    A new field goes into LATER_FIELDS. A changed default is another run: then change the digest.
    """
    config = default_config()
    (run,) = expand(config)
    assert settings_digest(run) == "0f76420d5d87e63f0b6650b3e9e17e9d"
    config.dropout = 0.5
    (other,) = expand(config)
    assert settings_digest(other) != settings_digest(run)
