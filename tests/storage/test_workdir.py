"""A workdir is used only where it is ours, whole, and of a version that we know."""

import json
from types import SimpleNamespace

import pytest

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.distributed import processes
from sparsity_jax.distributed.preemption import Interrupted
from sparsity_jax.distributed.shards import WHOLE, Shard
from sparsity_jax.errors import UserError
from sparsity_jax.storage import completion
from sparsity_jax.storage import workdir as workdirs
from sparsity_jax.storage.completion import (
    RunRecord,
    read_run_record,
    remove_leftovers,
    settings_digest,
    write_run_record,
    write_views,
)
from sparsity_jax.storage.config_record import ConfigRecord, read_record, write_record
from sparsity_jax.storage.folder import check, clear, is_whole
from sparsity_jax.storage.io import json_digest
from sparsity_jax.storage.results import RunResult
from sparsity_jax.storage.workdir import Invocation, Workdir

CONFIG = {"name": "x", "drops": ((1.0, 0.1),), "strength": 1e-3}
RECORD = RunRecord(
    RunResult("r", "d", "BasicNet", "adam", "l2", 1e-3, 40), ('{"run": "r"}',), ("a note",)
)


@pytest.fixture
def workdir(tmp_path):
    write_record(tmp_path, ConfigRecord(CONFIG, versions={"sparsity_jax": "9.0"}))
    return tmp_path


def rewrite(workdir, **changes) -> None:
    content = json.loads((workdir / "config.json").read_text()) | changes
    content.pop("digest")
    signed = {"digest": json_digest(content), **content}
    (workdir / "config.json").write_text(json.dumps(signed))


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
    write_views(workdir, [RECORD])
    assert is_whole(workdir, [RECORD])
    (workdir / "results.csv").write_text((workdir / "results.csv").read_text().replace("40", "41"))
    assert not is_whole(workdir, [RECORD])
    assert "results.csv" in capsys.readouterr().err
    write_views(workdir, [RECORD])
    assert is_whole(workdir, [RECORD])


def test_a_record_answers_for_every_file_and_for_its_settings(tmp_path, capsys):
    (tmp_path / "pruned").mkdir()
    (tmp_path / "pruned" / "weights.npz").write_bytes(b"weights")
    write_run_record(tmp_path, RECORD, of="settings")
    assert repr(read_run_record(tmp_path, of="settings")) == repr(RECORD)
    assert read_run_record(tmp_path, of="others") is None
    (tmp_path / "pruned" / "weights.npz").write_bytes(b"Weights")
    assert read_run_record(tmp_path, of="settings") is None
    assert "weights.npz" in capsys.readouterr().err


def test_clearing_leaves_what_is_not_ours(workdir):
    (workdir / "mine.txt").write_text("keep")
    clear(workdir)
    assert [path.name for path in workdir.iterdir()] == ["mine.txt"]


def test_removing_leftovers_takes_what_was_left_half_written_and_nothing_else(tmp_path):
    litter = ("pruned/.plan.json.1.tmp", ".dense-ab/weights.npz", ".measure.npz.7.tmp")
    results = ("pruned/plan.json", "measure.npz", "checkpoints/5/.zgroup")
    for name in (*litter, *results):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(results)
    assert not (tmp_path / ".dense-ab").exists()


def runs_of(**fields):
    config = default_config()
    config.update(fields)
    return config.to_dict(), expand(config)


def opened(path, shard=WHOLE, **fields):
    return Workdir(path, *runs_of(seeds=2, **fields), Invocation(shard=shard))


def finish(workdir, config):
    """Finish a run whose only file is `measure`."""
    folder = workdir / "runs" / config.name
    folder.mkdir(parents=True)
    (folder / "measure").write_text("sound")
    row = RunResult(config.name, "d", "BasicNet", "adam", "l2", 1e-3, 40)
    write_run_record(folder, RunRecord(row), of=settings_digest(config))
    return folder


def joined(monkeypatch):
    """As if two joined processes trained, of which this is the second."""
    monkeypatch.setattr(processes, "_this_process", processes.ProcessInfo(1, 2, "ab"))
    monkeypatch.setattr(workdirs, "POLL_SECONDS", 0.0)


def test_a_run_damaged_while_others_wait_for_it_ends_the_waiting(tmp_path, monkeypatch):
    joined(monkeypatch)
    workdir = opened(tmp_path, Shard(1, 2))
    first, _ = (finish(tmp_path, config) for config in workdir.runs)
    (first / "measure").write_text("hurt")
    with pytest.raises(UserError, match=r"measure is missing .* the same command makes it again"):
        workdir.finish(lambda path: pytest.fail("the second process writes no report"))


def test_what_ended_another_process_ends_the_waiting_for_its_runs(tmp_path, monkeypatch):
    joined(monkeypatch)
    workdir = opened(tmp_path, Shard(1, 2))
    with processes.stopping_together(processes.this_process(), tmp_path):
        (tmp_path / ".stop-ab").write_text('{"signal": 15, "said": ""}')
        with pytest.raises(Interrupted):
            workdir.finish(lambda path: pytest.fail("the second process writes no report"))


def test_a_damaged_run_is_named_and_its_record_does_not_outlive_the_start(tmp_path, capsys):
    first, second = (finish(tmp_path, config) for config in runs_of(seeds=2)[1])
    (first / "measure").write_text("hurt")
    workdir = opened(tmp_path)
    assert capsys.readouterr().err.count("made again") == 1
    assert [record.result.run for record in workdir.records] == [second.name]
    with workdir.held():
        assert not (first / completion.NAME).exists()
        assert (second / completion.NAME).exists()


def test_a_finished_run_is_verified_once(tmp_path, monkeypatch):
    """Also by a shard that looks, after each of its groups, for what others have finished."""
    configs = runs_of(seeds=2)[1]
    for config in configs:
        finish(tmp_path, config)
    read, digest = [], completion.file_digest
    monkeypatch.setattr(completion, "file_digest", lambda path: read.append(path) or digest(path))
    workdir, reports = opened(tmp_path, Shard(0, 2)), []
    with workdir.held():
        groups = [[SimpleNamespace(config=config)] for config in configs]
        assert list(workdir.pending(groups)) == []
        workdir.finish(reports.append)
    assert sorted(path.parent.name for path in read) == sorted(config.name for config in configs)
    assert reports == [tmp_path]
