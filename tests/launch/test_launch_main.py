"""The command line of the launchers."""

import sys

import pytest
import yaml

from sparsity_jax.launch import __main__ as command
from sparsity_jax.launch.ray_cluster import RayCluster

FLAGS = ("--", "--config=c.py", "--workdir=/shared/Table_1")


@pytest.fixture
def fake(work, monkeypatch):
    """The command line starts the stand-in for the training."""
    program = work.command()[1]
    arguments = ["", str(work.folder), "2", "0"]
    (work.folder / "stand_in.py").write_text(
        f"import sys\nsys.argv[:] = {arguments} + sys.argv[1:]\nexec(open({program!r}).read())\n"
    )
    monkeypatch.chdir(work.folder)
    monkeypatch.setattr(command, "_MAIN", "stand_in")
    return work


@pytest.mark.parametrize("flag", ["--at-once=2", "--at_once=2"])
def test_local_runs_all_shares_and_says_so(fake, capsys, flag):
    assert command.main(["local", "--shares=2", flag, "--", "--workdir=w"]) == 0
    fake.assert_each_unit_was_done_once(shares=2, units=2)
    said = capsys.readouterr().out
    assert "share 1 of 2: finished" in said
    assert (
        "--workdir=w --share=1/2\nall done" in (fake.folder / "w/logs/share-1-of-2.log").read_text()
    )


@pytest.mark.parametrize(("ending", "code"), [(2, 2), (3, 3), (-9, 137)])
def test_the_exit_code_is_that_of_the_first_bad_share_which_is_named(fake, capsys, ending, code):
    fake.ends_early(1, ending)
    assert command.main(["local", "--shares=3", "--retries=0", "--", "--workdir", "w"]) == code
    last = capsys.readouterr().err.splitlines()[0]
    assert last.startswith("error: share 1 of 3 ")
    assert last.endswith(f"w/logs/share-1-of-3.log ends: error: this start ends with {ending}")


def test_slurm_and_jobset_print_the_same_training(capsys):
    assert command.main(["slurm", "--shares=4", "--gpus=1", *FLAGS]) == 0
    batch = capsys.readouterr().out
    line = "-m sparsity_jax.main --config=c.py --workdir=/shared/Table_1 --share="
    assert f'{sys.executable} {line}"$SLURM_ARRAY_TASK_ID/4" &' in batch
    assert "#SBATCH --job-name=table-1\n" in batch
    assert command.main(["jobset", "--shares=4", "--image=i", "--claim=c", *FLAGS]) == 0
    jobset = yaml.safe_load(capsys.readouterr().out)
    assert jobset["metadata"]["name"] == "table-1"
    pod = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert f'exec python {line}"$JOB_COMPLETION_INDEX/4"' in container["command"]
    assert container["volumeMounts"][0]["mountPath"] == "/shared"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("local", "--shares=2"), "nothing to train; after -- give"),
        (("local", "--shares=2", "--", "--config=c.py"), "--workdir is missing after --"),
        (("local", "--shares=2", "--", "--config=c.py", "--workdir"), "--workdir is missing"),
        (("local", "--shares=2", *FLAGS, "--share=0/2"), "--share is not valid after --"),
        (("local", "--shares=2", *FLAGS, "--overwrite"), "every retry would start anew"),
        (("ray", "--shares=2", *FLAGS, "--process=0/2"), "--process is not valid after --"),
        (
            ("jobset", "--shares=2", "--image=i", "--claim=c", "--", "--workdir=w"),
            "--workdir=w is not absolute",
        ),
        (
            ("jobset", "--shares=2", "--image=i", "--claim=c", "--mount=/data", *FLAGS),
            "is not below --mount=/data",
        ),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(words, complaint, capsys):
    assert command.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert complaint in line


@pytest.mark.parametrize("words", [("local", "--shares=0", *FLAGS), ("moon", "--shares=1"), ()])
def test_what_argparse_refuses_is_exit_code_2_too(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(words)
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_help_shows_a_line_for_every_back_end(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(["--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    for backend in ("local", "ray", "slurm", "jobset"):
        assert f"python -m sparsity_jax.launch {backend} --shares=" in said


def test_without_ray_one_is_told_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert command.main(["ray", "--shares=2", *FLAGS]) == 2
    assert "pip install 'sparsity_jax[ray]'" in capsys.readouterr().err


def test_the_options_of_ray_reach_it(monkeypatch):
    seen = []
    monkeypatch.setattr(
        RayCluster, "submit", lambda self, *given: seen.append((self, *given)) or [0]
    )
    words = ["ray", "--shares=3", "--retries=1", "--address=auto", "--gpus-per-share=0.5"]
    assert command.main([*words, *FLAGS]) == 0
    ((cluster, line, shares, retries),) = seen
    assert (cluster.address, cluster.cpus, cluster.gpus) == ("auto", 1.0, 0.5)
    assert (line[1:3], shares, retries) == (["-m", "sparsity_jax.main"], 3, 1)
