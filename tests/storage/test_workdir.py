"""Is a workdir used only where it is ours, whole, and of a version that we know?"""

import json

import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.storage.completion import (
    RunRecord,
    read_run_record,
    sweep,
    write_run_record,
    write_views,
)
from sparsity_jax.storage.io import json_digest
from sparsity_jax.storage.results import RunResult
from sparsity_jax.storage.workdir import (
    ConfigRecord,
    check,
    clear,
    is_whole,
    read_record,
    write_record,
)

CONFIG = {"name": "x", "drops": ((1.0, 0.1),), "strength": 1e-3}
SEAL = RunRecord(
    RunResult("r", "d", "BasicNet", "adam", "l2", 1e-3, 40), ('{"run": "r"}',), ("a note",)
)


@pytest.fixture
def workdir(tmp_path):
    write_record(tmp_path, ConfigRecord(CONFIG, versions={"sparsity_jax": "9.0"}))
    return tmp_path


def rewrite(workdir, **changes) -> None:
    content = json.loads((workdir / "config.json").read_text()) | changes
    content.pop("digest")
    sealed = {"digest": json_digest(content), **content}
    (workdir / "config.json").write_text(json.dumps(sealed))


def test_the_same_config_is_welcome_and_another_is_named(workdir):
    check(workdir, CONFIG)
    with pytest.raises(UserError, match=r"strength: 0\.001 there, 0\.1 now"):
        check(workdir, {**CONFIG, "strength": 0.1})
    check(workdir, {**CONFIG, "strength": 0.1}, overwrite=True)


def test_a_newer_version_is_refused_by_name(workdir):
    rewrite(workdir, format=2)
    with pytest.raises(UserError, match=r"another version \(sparsity_jax 9\.0, format 2"):
        check(workdir, CONFIG)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"config": {"name": "x"}}'])
def test_a_damaged_record_is_refused(workdir, content):
    (workdir / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        read_record(workdir)


def test_every_changed_byte_of_the_record_is_noticed(workdir):
    path = workdir / "config.json"
    sound, before = path.read_bytes(), read_record(workdir)
    for at in range(len(sound)):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        try:
            assert read_record(workdir) == before
        except UserError:
            continue


def test_views_that_were_changed_are_noticed_and_made_again(workdir, capsys):
    (workdir / "report.html").write_text("")
    write_views(workdir, [SEAL])
    assert is_whole(workdir, [SEAL])
    (workdir / "results.csv").write_text((workdir / "results.csv").read_text().replace("40", "41"))
    assert not is_whole(workdir, [SEAL])
    assert "results.csv" in capsys.readouterr().err
    write_views(workdir, [SEAL])
    assert is_whole(workdir, [SEAL])


def test_a_seal_answers_for_every_file_and_for_its_settings(tmp_path, capsys):
    (tmp_path / "pruned").mkdir()
    (tmp_path / "pruned" / "weights.npz").write_bytes(b"weights")
    write_run_record(tmp_path, SEAL, of="settings")
    assert repr(read_run_record(tmp_path, of="settings")) == repr(SEAL)
    assert read_run_record(tmp_path, of="others") is None
    (tmp_path / "pruned" / "weights.npz").write_bytes(b"Weights")
    assert read_run_record(tmp_path, of="settings") is None
    assert "weights.npz" in capsys.readouterr().err


def test_clearing_leaves_what_is_not_ours(workdir):
    (workdir / "mine.txt").write_text("keep")
    clear(workdir)
    assert [path.name for path in workdir.iterdir()] == ["mine.txt"]


def test_sweeping_takes_what_was_left_half_written_and_nothing_else(tmp_path):
    litter = ("pruned/.plan.json.1.tmp", ".dense-ab/weights.npz", ".measure.npz.7.tmp")
    results = ("pruned/plan.json", "measure.npz", "checkpoints/5/.zgroup")
    for name in (*litter, *results):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    sweep(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(results)
    assert not (tmp_path / ".dense-ab").exists()
