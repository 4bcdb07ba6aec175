"""Reports of workdirs that are whole, damaged or hostile: a page, and the same every time."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import fake_workdir
import numpy as np
import pytest

from sparsity_jax import report
from sparsity_jax.config import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.errors import UserError
from sparsity_jax.report import loading
from sparsity_jax.report.figures.registry import DRAWINGS
from sparsity_jax.report.page import page, runs, sections, slider
from sparsity_jax.storage import completion
from sparsity_jax.storage.config_record import ConfigRecord, write_record
from sparsity_jax.storage.results import RunResult, write_results

SCRIPT = "<script>alert(1)</script>"
VOID = {"meta", "link", "input", "img", "source", "br", "wbr"}


class Outline(HTMLParser):
    """Collect elements and their attributes, and checks that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    parsed = Outline()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    return parsed


def data(text: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is what takes time; tests about words do without."""
    monkeypatch.setattr("sparsity_jax.report.figures.registry.DRAWINGS", ())


def test_every_figure_is_on_disk_and_on_the_page(built: Path) -> None:
    records = loading.load(built)
    names = {drawing.name for drawing in DRAWINGS if drawing.applies(records)}
    assert len(names) == 13
    assert {path.stem for path in (built / "figures").glob("*.png")} == names
    assert {path.stem for path in (built / "figures").glob("*.pdf")} == names
    elements = outline((built / "report.html").read_text()).elements
    images = [attrs["src"] or "" for tag, attrs in elements if tag == "img"]
    assert len(images) == len(names)
    assert all(image.startswith("data:image/png;base64,") for image in images)


def test_the_page_asks_nothing_of_the_network(built: Path) -> None:
    text = (built / "report.html").read_text()
    elements = outline(text).elements
    places = [attrs.get(name) for _, attrs in elements for name in ("src", "href", "srcset")]
    assert all(place.startswith(("data:", "#")) for place in places if place)
    policies = [attrs["content"] or "" for tag, attrs in elements if "http-equiv" in attrs]
    assert [policy.partition(";")[0] for policy in policies] == ["default-src 'none'"]


def test_the_page_tells_numbers_of_results_csv(built: Path) -> None:
    text = (built / "report.html").read_text()
    row = loading.load(built).rows[0]
    assert f"{row.sparsity_gamma:.1f}" in text
    assert f'data-value="{row.test_error:.6g}"' in text
    assert "python -m sparsity_jax.main --config=configs/quickstart.py" in text
    assert "diverged" in text


def test_links_lead_to_the_sections_that_there_are(built: Path) -> None:
    elements = outline((built / "report.html").read_text()).elements
    sections = [attrs["id"] for tag, attrs in elements if tag == "section"]
    links = [(attrs["href"] or "").removeprefix("#") for tag, attrs in elements if tag == "a"]
    assert links == sections
    assert {"results", "figures", "again"} < set(links)


def test_badges_tell_length_and_seeds(tmp_path: Path, without_figures: None) -> None:
    fakes = [dataclasses.replace(fake_workdir.QUICKSTART[0], seed=seed) for seed in (0, 1)]
    fake_workdir.write(tmp_path, tuple(fakes), evaluations=4)
    assert sections.badges(loading.load(tmp_path)) == ["6,000 steps", "2 seeds each"]
    text = report.build(tmp_path).read_text()
    assert "<li>2 seeds each</li>" in text


def test_every_run_has_a_card_with_command_time_and_machine(
    tmp_path: Path, without_figures: None
) -> None:
    config = default_config()
    config.sweep = ({"optimizer": "adam"}, {"optimizer": "sgd"})
    names = [run.name for run in expand(config)]
    command = "python -m sparsity_jax.main --config=mine.py --workdir=here"
    record = ConfigRecord(config.to_dict(), tuple(names), command=command)
    write_record(tmp_path, record)
    rows = [
        RunResult(name, "renderings", "BasicNet", name[:4], "l2", 1e-4, 40, seconds=200.0)
        for name in names
    ]
    write_results(tmp_path / "results.csv", rows)
    told = completion.RunRecord(rows[0], machine=f"2 × {SCRIPT}")
    completion.write_run_record(tmp_path / "runs" / names[0], told, of="x")
    first, second = runs.cards(loading.load(tmp_path))
    assert (dict(first.facts)["machine"], dict(second.facts).get("machine")) == (told.machine, None)
    assert dict(first.facts)["training time"] == "3 min 20 s"
    assert first.command.endswith(f"--workdir=runs/{names[0]}")
    assert '\'--config.sweep={"optimizer": "sgd"}\'' in second.command
    text = report.build(tmp_path).read_text()
    outline(text)
    assert text.count('class="copy"') == 3  # of the two runs, and of the grid
    assert SCRIPT not in text


def test_building_twice_gives_the_same_bytes(built: Path, without_figures: None) -> None:
    report.build(built.parent / _copy(built, "twice"))
    first = (built.parent / "twice" / "report.html").read_bytes()
    report.build(built.parent / "twice")
    assert (built.parent / "twice" / "report.html").read_bytes() == first


def test_a_figure_that_no_longer_applies_goes(
    built: Path, without_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = built.parent / _copy(built, "stale")
    kept = tuple(drawing for drawing in DRAWINGS if drawing.name == "universality")
    monkeypatch.setattr("sparsity_jax.report.figures.registry.DRAWINGS", kept)
    for measure in copy.glob("runs/*/measure.npz"):
        measure.unlink()
    (copy / "figures" / "mine.png").write_bytes(b"not ours")
    (copy / "figures" / ".deaths.png.12.tmp").write_bytes(b"half, by a process that was killed")
    report.build(copy)
    left = {path.name for path in (copy / "figures").iterdir()}
    assert "universality.png" not in left
    assert "mine.png" in left
    assert not any(name.startswith(".") for name in left)


@pytest.mark.parametrize(
    "gone", ["results.csv", "config.json", "history.jsonl", "runs", "everything"]
)
def test_missing_pieces_leave_a_page(built: Path, without_figures: None, gone: str) -> None:
    copy = built.parent / _copy(built, f"without-{gone}")
    for path in list(copy.iterdir()):
        if gone in (path.name, "everything"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = report.build(copy).read_text()
    outline(text)
    assert ("No run has finished yet" in text) == (gone in ("results.csv", "everything"))


def test_figures_do_without_history_measures_and_pruning(tmp_path: Path) -> None:
    fake_workdir.write(tmp_path, fake_workdir.QUICKSTART[:1])
    (tmp_path / "history.jsonl").unlink()
    shutil.rmtree(tmp_path / "runs")
    report.build(tmp_path)
    names = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert names == {"sparsity_by_layer", "sparsity_against_error"}


def test_nothing_but_a_diverged_run_still_has_curves(tmp_path: Path) -> None:
    fake_workdir.write(tmp_path, fake_workdir.QUICKSTART[-1:])
    assert (
        "1 run of BasicNet on renderings, batch 40. 1 diverged."
        in report.build(tmp_path).read_text()
    )
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {"training_curves"}


def test_damaged_files_are_named_and_left_out(built: Path, without_figures: None) -> None:
    copy = built.parent / _copy(built, "damaged")
    run = fake_workdir.QUICKSTART[0].run
    (copy / "runs" / run / "measure.npz").write_bytes(b"PK")
    (copy / "runs" / run / "pruned.json").write_text("{")
    with (copy / "history.jsonl").open("a") as file:
        file.write('{"run": "ad')
    records = loading.load(copy)
    assert len(records.problems) == 3
    assert run not in records.measures
    assert len(records.curves) == len(fake_workdir.QUICKSTART)
    text = report.build(copy).read_text()
    assert "measure.npz is damaged" in text
    assert "cut off" in text


def test_hostile_names_stay_text(tmp_path: Path, without_figures: None) -> None:
    hostile = dataclasses.replace(
        fake_workdir.QUICKSTART[0], variant="x'\"&$name" + SCRIPT.replace("/", ""), dataset=SCRIPT
    )
    fake_workdir.write(tmp_path, (hostile, fake_workdir.QUICKSTART[1]))
    config = json.loads((tmp_path / "config.json").read_text())
    config["command"] = config["config"]["name"] = SCRIPT
    config["versions"][SCRIPT] = SCRIPT
    (tmp_path / "config.json").write_text(json.dumps(config))
    text = report.build(tmp_path).read_text()
    assert sum(tag == "script" for tag, _ in outline(text).elements) == 2
    assert SCRIPT not in text
    assert SCRIPT in data(text)["runs"][0]["label"]


def test_hostile_names_do_not_break_figures(tmp_path: Path) -> None:
    hostile = dataclasses.replace(
        fake_workdir.QUICKSTART[0], dataset="$\\frac{$ 猫 <b>", variant="bg=$x_{"
    )
    fake_workdir.write(tmp_path, (hostile, fake_workdir.QUICKSTART[1]))
    report.build(tmp_path)
    records = loading.load(tmp_path)
    expected = {drawing.name for drawing in DRAWINGS if drawing.applies(records)}
    assert len(expected) == 12
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == expected


def test_no_such_folder_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a folder"):
        report.build(tmp_path / "nowhere")


def test_the_slider_shows_all_filters_of_a_layer(built: Path) -> None:
    moving = slider.payload(loading.load(built))
    first = moving["runs"][0]
    cells = np.frombuffer(base64.b64decode(first["cells"]), np.uint8)
    shape = (len(first["layers"]), len(first["epochs"]), 2, moving["bins"])
    shares = (cells.reshape(shape) / 255.0) ** 2
    assert first["filters"] == list(fake_workdir.FILTERS)
    np.testing.assert_allclose(shares.sum(-1), 1, atol=0.06)
    finished = loading.load(built).rows[0]
    dead = 100 * first["dead"][5][-1] / first["filters"][5]
    assert dead == pytest.approx(finished.layers[5], abs=0.01)


def test_embedded_json_cannot_end_its_element() -> None:
    text = page.embedded({"a": "</script><!--&", "b": [1.5, None]})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!--&", "b": [1.5, None]}


def _copy(built: Path, name: str) -> str:
    shutil.copytree(built, built.parent / name)
    return name


def test_notes_on_runs_stand_under_the_results(tmp_path: Path, without_figures: None) -> None:
    rows = fake_workdir.write(tmp_path, fake_workdir.QUICKSTART[:2], evaluations=4)
    assert 'class="notes"' not in report.build(tmp_path).read_text()
    note = f"is at chance level: test error 90.0 %, by guessing 90.0 % {SCRIPT}"
    completion.write_run_record(
        tmp_path / "runs" / rows[1].run, completion.RunRecord(rows[1], notes=(note,)), of="x"
    )
    text = report.build(tmp_path).read_text()
    outline(text)
    said = f"<strong>{rows[1].run}</strong> is at chance level: test error 90.0 %"
    assert said in text.partition('id="results"')[2].partition("</section>")[0]
    assert SCRIPT not in text


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"notes": 3}', "{}"])
def test_a_damaged_seal_is_named_and_the_report_goes_on(
    tmp_path: Path, without_figures: None, damage: str
) -> None:
    rows = fake_workdir.write(tmp_path, fake_workdir.QUICKSTART[:1], evaluations=4)
    (tmp_path / "runs" / rows[0].run / completion.NAME).write_text(damage)
    text = report.build(tmp_path).read_text()
    assert f"{rows[0].run}/{completion.NAME} is damaged" in text
    assert f"{rows[0].sparsity_gamma:.1f}" in text
