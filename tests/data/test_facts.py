"""Published facts, and the prepared real sets where they are: SPARSITY_JAX_REAL_DATA names them."""

import os
from pathlib import Path

import numpy as np
import pytest

from sparsity_jax import data
from sparsity_jax.data import __main__ as data_main
from sparsity_jax.data import facts
from sparsity_jax.data.dataset import Dataset

REAL = os.environ.get("SPARSITY_JAX_REAL_DATA", "")


def small(value=0):
    images = np.full((4, 2, 2, 3), value, np.uint8)
    images[0] = 255
    labels = np.array([0, 1, 0, 1], np.int32)
    return Dataset("small", images, labels, images[:2], labels[:2], ("a", "b"))


def test_facts_are_those_of_the_arrays():
    found = facts.facts_of(small())
    assert found == facts.Facts((4, 2), 2, (2, 1), (0.25,) * 3, (round(0.1875**0.5, 5),) * 3)


def test_each_fact_that_differs_is_named():
    known = facts.facts_of(small())
    assert facts.differing(known, known) == []
    assert facts.differing(facts.facts_of(small(1)), known) == ["mean", "std"]
    nearly = known._replace(mean=(0.250004, 0.25, 0.25), per_class=None)
    assert facts.differing(nearly, known) == ["per_class"]
    assert facts.differing(known._replace(mean=(0.25,)), known) == ["mean"]


def test_check_names_what_is_not_as_published(monkeypatch, capsys):
    monkeypatch.setattr(data_main, "load", lambda *_, **__: small())
    assert data_main.main(["check", "cifar10"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "images: (4, 2), expected (50000, 10000)"
    monkeypatch.setitem(facts.FACTS, "cifar10", facts.facts_of(small()))
    assert data_main.main(["check", "cifar10"]) == 0
    assert all(line.endswith("as expected") for line in capsys.readouterr().out.splitlines())


def test_check_refuses_sets_of_which_nothing_is_known(capsys):
    assert data_main.main(["check", "renderings"]) == 2
    assert "valid: cifar10, cifar100, tiny_imagenet" in capsys.readouterr().err


@pytest.mark.parametrize("name", facts.FACTS)
def test_real_sets_have_these_facts(name):
    folder = Path(REAL)
    if not REAL or not list(folder.glob(f"tfds/{name}/*")):
        pytest.skip(f"no real {name}: prepare it and name its data folder, SPARSITY_JAX_REAL_DATA")
    found = facts.facts_of(data.load(name, data_dir=folder, progress=False))
    assert set(facts.differing(found, facts.FACTS[name])) <= {"gray"}  # not in the arrays
