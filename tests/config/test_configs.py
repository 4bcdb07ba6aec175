"""Every config of the repository: it loads, it is what its docstring says, and it trains."""

import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest

from sparsity_jax import report
from sparsity_jax.config.sweep import expand
from sparsity_jax.errors import UserError
from sparsity_jax.experiment import run as experiment
from sparsity_jax.report.paper.published import match_key, published
from sparsity_jax.storage.results import RunResult, read_results

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.py"))
OF_THE_PAPER = [name for name in NAMES if name.startswith(("table", "figure"))]
TRAINING_IMAGES = {  # Sec. 2.1; the last as this project renders it
    "cifar10": 50_000,
    "cifar100": 50_000,
    "tiny_imagenet": 100_000,
    "imagenet2012": 1_281_167,
    "objectnet3d": 30_000,
}
# As printed without its setting, or trained by others.
NOT_OURS = {"baseline=Li et al. [13]"}


def load(name):
    spec = importlib.util.spec_from_file_location(f"configs_{name}", CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def args_of(name):
    """The args that a config knows, by its answer to one that it does not know."""
    if name in ("quickstart", "cifar10"):
        return []
    if name == "calibration":  # and each candidate by its name, which sparsity_jax/config lists
        return ["cifar10", "cifar100", "NAME"]
    with pytest.raises(UserError) as refused:
        load(name).get_config("nonsense")
    _, found, valid = str(refused.value).partition("valid are ")
    return valid.split(", ") if found else []


def section(doc, head):
    """What a docstring says after a head such as 'Runs:', on one line."""
    match = re.search(rf"^{head}: (.*?)(?=^\w+: |\Z)", doc, re.MULTILINE | re.DOTALL)
    assert match, f"the docstring lacks {head!r}"
    return " ".join(match[1].split())


def stated(doc):
    """{arg or None: {steps: runs}} by the docstring's 'Runs:'."""
    found = {}
    for part in section(doc, "Runs").split(";"):
        counts = re.match(r"\s*(?::(\w+) )?((?:\d+ x [\d,]+(?: \+ )?)+)", part)
        if counts:
            pairs = re.findall(r"(\d+) x ([\d,]*\d)", counts[2])
            found[counts[1]] = {int(steps.replace(",", "")): int(runs) for runs, steps in pairs}
    return found


def train_size(run):
    if run.data == "renderings":
        return dict(run.renderings)["train_views"]
    return TRAINING_IMAGES[run.data.partition(":")[0]]


def as_row(run, dataset):
    return RunResult(
        run.name, dataset, run.network, run.optimizer, run.regularizer, run.strength,
        run.batch_size, run.variant,
    )  # fmt: skip


def test_every_table_and_figure_has_a_config():
    tables = [*range(1, 11), *(f"_s{i}" for i in range(1, 5))]
    figures = [*range(2, 6), *(f"_s{i}" for i in range(1, 5))]
    wanted = {f"table{i}" for i in tables} | {f"figure{i}" for i in figures}
    assert wanted | {"phase_diagram", "task_difficulty"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_says_what_is_run(name):
    module = load(name)
    doc = module.__doc__
    assert section(doc, "Reproduces")
    assert f"--config=configs/{name}.py" in section(doc, "Command")
    said = stated(doc)
    assert set(said) == {None, *args_of(name)}
    for arg, counts in said.items():
        config = module.get_config("crop4" if arg == "NAME" else arg)
        runs = expand(config)
        assert Counter(run.steps(train_size(run)) for run in runs) == counts, arg
        assert len({run.name for run in runs}) == len(runs)
        assert config.name.startswith(name)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"quickstart", "cifar10"}))
def test_the_docstring_says_how_long_and_what_to_expect(name):
    doc = load(name).__doc__
    assert "not measured" in section(doc, "Time")
    assert section(doc, "Expect")
    for arg in args_of(name):
        assert f":{arg}" in section(doc, "Time")


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_in_miniature_every_table_runs_without_downloads(name):
    config = load(name).get_config("renderings")
    assert {run.data for run in expand(config)} == {"renderings"}


@pytest.mark.parametrize("number", ["1", "2", "3", "6", "7", "S1", "S2", "S3", "S4"])
def test_the_runs_of_a_table_are_those_it_publishes(number):
    """On CIFAR, where a published row names all of its setting: no run more, none less."""
    name = "table_" + number.lower() if number.startswith("S") else f"table{number}"
    datasets = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}
    runs = expand(load(name).get_config())
    ours = {match_key(as_row(run, datasets[run.data])) for run in runs if run.criterion == "gamma"}
    rows = [row for row in published() if row.table == number]
    assert ours == {row.key for row in rows if row.row.variant not in NOT_OURS}


def test_batch_sizes_hold_the_iterations():
    runs = expand(load("table3").get_config("cifar10"))
    assert {run.batch_size for run in runs} == {20, 40, 80, 160}
    assert {run.steps(50_000) for run in runs} == {406_250}
    assert {run.drop_steps(50_000) for run in runs} == {((312_500, 0.1),)}


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("table2", ("table1",)),
        ("table_s1", ("table1",)),
        ("figure2", ("table1",)),
        ("figure3", ("table1",)),
        ("figure_s1", ("table1",)),
        ("figure_s2", ("table1",)),
        ("figure5", ("table3", "table4")),
    ],
)
def test_what_is_said_to_be_shared_is(name, others):
    """Equal but for labels, so that a store of runs can answer for them; seeds may be fewer."""
    settings = [
        [(run.seed, *[getattr(run, f) for f in run.__dataclass_fields__ if f != "labels"])
         for run in expand(load(each).get_config())]
        for each in (name, *others)
    ]  # fmt: skip
    assert set(settings[0]) <= {one for known in settings[1:] for one in known}


def in_miniature(config):
    """The last run of a config's grid, in four steps on a few small pictures.

    VGG becomes BasicNet, for compiling it takes a minute here; networks have their own tests.
    """
    own = ("data", "width", "batch_size", "epochs", "drops", "reference_batch")
    last = {field: v for field, v in (config.sweep or ({},))[-1].items() if field not in own}
    last |= {"finetune_epochs": 0.5} if "finetune_epochs" in last else {}
    last |= {"prune_layers": ("C1",)} if "prune_layers" in last else {}
    config.sweep = (last,)
    config.data, config.network, config.width = "renderings", "BasicNet", "0.0625"
    config.renderings.update(classes=3, size=12, train_views=64, test_views=16)
    config.batch_size = config.reference_batch = 16
    config.epochs, config.drops = 1.0, ((0.5, 0.1),)
    config.evaluations, config.seeds, config.latency_seconds = 1, 1, 0.0
    return config


@pytest.mark.parametrize("name", NAMES)
def test_every_config_trains(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSITY_JAX_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(report, "build", lambda workdir: None)  # has its own tests
    experiment.run(in_miniature(load(name).get_config()), tmp_path / "run")
    (row,) = read_results(tmp_path / "run" / "results.csv")
    assert row.status == "finished"
    assert row.steps == 4
