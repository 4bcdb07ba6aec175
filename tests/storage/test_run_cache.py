"""What one table trained, another table finds; what is damaged or foreign is passed over."""

import dataclasses
import json
import os

import pytest

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.storage import completion
from sparsity_jax.storage import run_cache as store
from sparsity_jax.storage.history import Evaluation, decode_line, encode_line
from sparsity_jax.storage.results import RunResult

FILES = {"measure.npz": b"measured", "pruned/plan.json": b"{}"}
KEY, MINE, THEIRS = "k" * 32, "settings of table 1", "settings of table 2"


def sealed(folder, *, of=MINE, name="adam_data=cifar10_seed0", files=FILES):
    """A finished run's folder, as an experiment leaves it."""
    for file, content in {**files, "checkpoints/state": b"large"}.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    row = RunResult(name, "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40, "data=cifar10")
    lines = tuple(encode_line(Evaluation(run=name, step=i, epoch=i / 2)) for i in (1, 2))
    completion.write_run_record(
        folder, completion.RunRecord(row, lines, ("is at chance level",)), of=of
    )
    return folder


@pytest.fixture
def kept(tmp_path):
    """A store that holds one run."""
    assert store.keep(tmp_path / "store", sealed(tmp_path / "one"), key=KEY, of=MINE)
    return tmp_path / "store"


def fetch(place, folder, key=KEY):
    return store.fetch(place, folder, key=key, of=THEIRS, name="adam_seed0", variant="")


def test_another_grid_gets_the_run_under_its_own_name(kept, tmp_path):
    folder = tmp_path / "two" / "adam_seed0"
    assert fetch(kept, folder)
    record = completion.read_run_record(folder, of=THEIRS)
    original = completion.read_run_record(tmp_path / "one", of=MINE)
    assert record.result == dataclasses.replace(original.result, run="adam_seed0", variant="")
    assert record.notes == original.notes
    mine = [decode_line(line) for line in record.lines]
    theirs = [decode_line(line) for line in original.lines]
    assert repr(mine) == repr([dataclasses.replace(each, run="adam_seed0") for each in theirs])
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert not (folder / "checkpoints").exists()


def test_what_comes_back_under_the_same_name_is_the_same_byte_for_byte(kept, tmp_path):
    name = "adam_data=cifar10_seed0"
    assert store.fetch(kept, tmp_path / "two", key=KEY, of=MINE, name=name, variant="data=cifar10")
    there, here = (tmp_path / folder / completion.NAME for folder in ("one", "two"))
    assert here.read_bytes() == there.read_bytes()


def test_copies_do_not_share_a_fate(kept, tmp_path):
    assert fetch(kept, tmp_path / "two")
    with (tmp_path / "two" / "measure.npz").open("ab") as file:
        file.write(b"!")
    assert fetch(kept, tmp_path / "three")


def test_what_is_not_stored_is_not_found_and_nothing_is_made(kept, tmp_path, capsys):
    assert not fetch(kept, tmp_path / "two", key="o" * 32)
    assert not fetch(tmp_path / "no store", tmp_path / "two")
    assert not (tmp_path / "two").exists()
    assert capsys.readouterr().err == ""


def test_an_unfinished_folder_is_replaced(kept, tmp_path):
    (tmp_path / "two" / "checkpoints").mkdir(parents=True)
    assert fetch(kept, tmp_path / "two")
    assert completion.verify_run(tmp_path / "two", of=THEIRS)[1] == ""
    assert not (tmp_path / "two" / "checkpoints").exists()


def change_a_file(entry):
    (entry / "measure.npz").write_bytes(b"measureD")


def lose_a_file(entry):
    (entry / "pruned" / "plan.json").unlink()


def change_the_row(entry):
    content = json.loads((entry / completion.NAME).read_text())
    content["row"]["test_error"] = "0.0"
    (entry / completion.NAME).write_text(json.dumps(content))


def cut_the_seal(entry):
    os.truncate(entry / completion.NAME, 40)


def lose_the_seal(entry):
    (entry / completion.NAME).unlink()


def be_another_run(entry):
    sealed(entry, of="another key")


DAMAGES = [change_a_file, lose_a_file, change_the_row, cut_the_seal, lose_the_seal, be_another_run]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_entry_is_named_and_passed_over(damage, kept, tmp_path, capsys):
    damage(kept / KEY)
    assert not fetch(kept, tmp_path / "two")
    said = capsys.readouterr().err
    assert str(kept / KEY) in said
    assert said.count("\n") == 1
    assert not (tmp_path / "two").exists()


def test_a_file_in_place_of_an_entry_is_passed_over(tmp_path, capsys):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / KEY).write_text("not a folder")
    assert not fetch(tmp_path / "store", tmp_path / "two")
    assert not store.keep(tmp_path / "store", sealed(tmp_path / "one"), key=KEY, of=MINE)
    assert (tmp_path / "store" / KEY).read_text() == "not a folder"
    assert capsys.readouterr().err.count(KEY) == 2


def test_a_damaged_entry_is_replaced_by_a_sound_one(kept, tmp_path):
    change_a_file(kept / KEY)
    assert store.keep(kept, tmp_path / "one", key=KEY, of=MINE)
    assert fetch(kept, tmp_path / "two")
    assert [path.name for path in kept.iterdir()] == [KEY]


def test_a_run_that_is_not_whole_is_not_kept(tmp_path):
    folder = sealed(tmp_path / "one")
    change_a_file(folder)
    assert not store.keep(tmp_path / "store", folder, key=KEY, of=MINE)
    (folder / completion.NAME).unlink()
    assert not store.keep(tmp_path / "store", folder, key=KEY, of=MINE)
    assert not (tmp_path / "store" / KEY).exists()


def test_a_copy_that_fails_leaves_no_trace(kept, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.shutil, "copyfile", full)
    assert not fetch(kept, tmp_path / "runs" / "two")
    assert list((tmp_path / "runs").iterdir()) == []
    assert "No space left" in capsys.readouterr().err


def settings(**fields):
    config = default_config()
    config.data = "cifar10"
    config.update_from_flattened_dict(fields)
    return dataclasses.asdict(expand(config)[0])


def test_the_key_is_the_run_not_what_a_grid_calls_it():
    named = settings() | {"labels": ("data=cifar10",)}
    assert store.key(settings(), ["d"]) == store.key(named, ["d"])
    assert store.key(settings(), ["d"]) == store.key(settings(latency_seconds=0.0), ["d"])


@pytest.mark.parametrize(
    "fields",
    [{"strength": 1e-3}, {"scale": 0.5}, {"evaluations": 7}, {"finetune_epochs": 1.0},
     {"beta_init": 0.5}, {"criterion": "slimming"}],
)  # fmt: skip
def test_another_setting_is_another_run(fields):
    assert store.key(settings(**fields), ["d"]) != store.key(settings(), ["d"])


def test_other_data_are_another_run():
    assert store.key(settings(), ["d", "e"]) != store.key(settings(), ["d", "f"])
