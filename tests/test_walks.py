"""The package's README names functions, and they exist."""

import importlib
import re
from pathlib import Path

import sparsity_jax

README = Path(sparsity_jax.__file__).with_name("README.md").read_text()


def steps(chapter: str) -> list[str]:
    text = README.split(f"## {chapter}", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\d+\. .*$", text, re.MULTILINE)


def test_names_in_the_walks_exist() -> None:
    names = re.findall(r"`(sparsity_jax[\w.]*):(\w+)`", README)
    assert len(names) > 15
    missing = [
        f"{module}:{name}"
        for module, name in names
        if not hasattr(importlib.import_module(module), name)
    ]
    assert missing == []


def test_walks_have_at_most_ten_steps_that_each_name_a_function() -> None:
    for chapter in ("One config value", "One batch"):
        found = steps(chapter)
        assert 5 <= len(found) <= 10
        assert all("`sparsity_jax" in step for step in found)


def test_files_that_the_readme_names_exist() -> None:
    package = Path(sparsity_jax.__file__).parent
    named = re.findall(r"`([a-z_]+/[\w/]+\.(?:py|md))`", README)
    missing = [
        name for name in named if not any((p / name).exists() for p in (package, package.parent))
    ]
    assert named
    assert missing == []
