"""The front page: short, its links lead somewhere, its Python runs as pasted."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MOST_LINES = 130


def test_it_is_short():
    assert len(README.splitlines()) <= MOST_LINES


def test_the_example_runs_as_pasted(tmp_path):
    code = next(
        b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "gamma_sparsity" in b
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0.0"


PAGES = [
    Path(name)
    for name in subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_and_paths_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (ROOT / page.parent / target).exists(), target
    for path in re.findall(r"`((?:configs|sparsity_jax|tests|notebooks)/[\w./]+)`", text):
        assert (ROOT / path.rstrip("./")).exists(), path
