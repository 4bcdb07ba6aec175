"""The page in a real browser: opened from a file, without a network, at all widths.

Needs Debian's `chromium` on the path and playwright from PyPI; skipped, with the reason, without.
A screenshot of each size is kept in SPARSITY_JAX_ARTIFACTS where that names a folder.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_workdir
import pytest

from sparsity_jax.report import loading
from sparsity_jax.report.page.page import page as html_page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, built: Path) -> Iterator[Any]:
    """The page at desktop size; afterwards, nothing may stand in the console."""
    page, said = _open(browser, built)
    yield page
    page.close()
    assert said == []


def _open(browser: Any, built: Path, **context: Any) -> tuple[Any, list[str]]:
    page = browser.new_page(**context)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(request.url))
    page.on("request", lambda r: None if r.url[:5] in ("file:", "data:") else said.append(r.url))
    page.goto((built / "report.html").as_uri())
    return page, said


def _column(page: Any, table: str, column: int) -> list[str]:
    rows = page.locator(f"table.{table} tbody tr:visible")
    return [row.locator("th, td").nth(column).inner_text() for row in rows.all()]


def test_a_click_sorts_and_another_turns_round(opened: Any) -> None:
    head = opened.locator("table.results thead button", has_text="error")
    head.click()
    numbers = _column(opened, "results", 1)
    assert numbers[-1] == "-"  # the diverged run stays last
    values = [float(number) for number in numbers[:-1]]
    assert values == sorted(values, reverse=True)
    head.click()
    turned = _column(opened, "results", 1)
    assert turned[-1] == "-"
    assert [float(number) for number in turned[:-1]] == sorted(values)


def test_names_sort_as_text(opened: Any) -> None:
    opened.locator("table.results thead button", has_text="run").click()
    names = _column(opened, "results", 0)
    assert names == sorted(names)


def test_the_filter_narrows_every_table(opened: Any) -> None:
    everything = len(_column(opened, "results", 0))
    opened.locator("#filter").fill("sgd L2")
    assert _column(opened, "results", 0) == ["SGD L2 1e-3"]
    assert _column(opened, "pruning", 0) == ["SGD L2 1e-3"]
    assert _column(opened, "heat", 0) == ["SGD L2 1e-3"]
    assert opened.locator("#matches").inner_text() == f"1 of {everything}"
    opened.locator("#filter").fill("sgd_l2_1e-03_b40_seed0")  # the run's folder
    assert _column(opened, "results", 0) == ["SGD L2 1e-3"]
    opened.locator("#filter").fill("")
    assert len(_column(opened, "results", 0)) == everything


def test_the_slider_moves_the_bars_and_the_count(opened: Any) -> None:
    slider, dead = opened.locator("#moment"), opened.locator("#dead")
    assert "56 of 128 filters inactive" in dead.inner_text()
    bars = opened.locator("#gamma rect.bar")
    last = [bar.get_attribute("height") for bar in bars.all()]
    slider.fill("0")
    assert "0 of 128 filters inactive" in dead.inner_text()
    assert opened.locator("#epoch").inner_text() == "0"
    assert [bar.get_attribute("height") for bar in bars.all()] != last


def test_runs_and_layers_can_be_chosen_and_compared(opened: Any) -> None:
    opened.locator("#layer").select_option("C1")
    assert "of 16 filters" in opened.locator("#dead").inner_text()
    opened.locator("#run").select_option(label="SGD L2 1e-3")
    assert opened.locator("#layer").input_value() == "C1"
    opened.locator("#other").select_option(label="Adam L2 1e-3")
    assert "outline: Adam L2 1e-3" in opened.locator("#dead").inner_text()
    assert opened.locator("#gamma path.outline").count() == 1
    assert opened.locator("#beta path.outline").count() == 1


def test_play_runs_to_the_end_and_stops(opened: Any) -> None:
    opened.locator("#moment").fill("36")
    opened.locator("#play").click()
    sync_api.expect(opened.locator("#moment")).to_have_value("39")
    sync_api.expect(opened.locator("#play")).to_have_text("Play")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_nothing_is_cut_at_any_width(browser: Any, built: Path, width: int, scheme: str) -> None:
    page, said = _open(
        browser, built, viewport={"width": width, "height": 844}, color_scheme=scheme
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for table in page.locator(".scroll").all():  # each shows its results without being moved
        assert table.evaluate("part => part.scrollWidth <= part.clientWidth")
    for image in page.locator("figure img").all():
        assert image.evaluate("image => image.naturalWidth") > 300
        box = image.bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(14, 17, 22)") == (scheme == "dark")
    folder = os.environ.get("SPARSITY_JAX_ARTIFACTS")
    if folder:
        page.screenshot(path=Path(folder) / f"report-{width}-{scheme}.png", full_page=True)
    page.close()
    assert said == []


def test_on_a_phone_every_value_has_its_title_and_a_figure_grows_at_a_tap(
    browser: Any, built: Path
) -> None:
    page, said = _open(browser, built, viewport={"width": 390, "height": 844})
    for table in ("pruning", "gains", "classes", "confused"):
        cells = page.locator(f"table.{table} tbody tr").first.locator("td")
        titles = page.locator(f"table.{table} thead th").all_text_contents()[1:]
        labels = [
            cell.evaluate("c => getComputedStyle(c, '::before').content") for cell in cells.all()
        ]
        assert labels == [f'"{title}"' for title in titles]
        assert all(cell.is_visible() for cell in cells.all())
    picture = page.locator("figure picture").first
    before = picture.locator("img").bounding_box()["width"]
    picture.click()
    assert picture.locator("img").bounding_box()["width"] > 1.5 * before
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture.click()
    assert picture.locator("img").bounding_box()["width"] == before
    page.close()
    assert said == []


def test_a_command_is_copied(browser: Any, built: Path) -> None:
    page, said = _open(browser, built)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator("#again button.copy")
    button.click()
    sync_api.expect(button).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "python -m sparsity_jax.main --config=configs/quickstart.py"
    page.close()
    assert said == []


def test_every_card_opens_and_fits_a_phone(browser: Any, built: Path) -> None:
    page, said = _open(browser, built, viewport={"width": 390, "height": 844})
    cards = page.locator("#runs details.card").all()
    assert len(cards) == len(fake_workdir.QUICKSTART)
    for card in cards:
        card.locator("summary").click()
        assert card.locator("dd").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
    assert said == []


def test_every_title_of_the_results_says_what_it_means(opened: Any) -> None:
    heads = opened.locator("table.results thead th").all()
    assert all(head.get_attribute("title") for head in heads)


@pytest.mark.parametrize("width", [390, 1280])
def test_published_numbers_beside_ours_are_not_cut(
    browser: Any, tmp_path: Path, width: int
) -> None:
    fakes = [dataclasses.replace(fake, dataset="CIFAR10") for fake in fake_workdir.QUICKSTART]
    fake_workdir.write(tmp_path, tuple(fakes), evaluations=4)
    (tmp_path / "report.html").write_text(html_page(loading.load(tmp_path), []))
    page, said = _open(browser, tmp_path, viewport={"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    parts = page.locator("#paper .scroll").all()
    assert len(parts) > 2
    for part in parts if width > 600 else parts[:2]:  # a phone moves the paper's widest tables
        assert part.evaluate("part => part.scrollWidth <= part.clientWidth")
    page.close()
    assert said == []


def test_on_a_phone_the_papers_tables_move_under_their_first_column(
    browser: Any, tmp_path: Path
) -> None:
    fakes = [dataclasses.replace(fake, dataset="CIFAR100") for fake in fake_workdir.QUICKSTART]
    fake_workdir.write(tmp_path, tuple(fakes), evaluations=4)
    (tmp_path / "report.html").write_text(html_page(loading.load(tmp_path), []))
    page, said = _open(browser, tmp_path, viewport={"width": 390, "height": 844})
    part = page.locator(".scroll:has(table.paper)").nth(1)  # Table 2, the widest
    assert part.evaluate("part => part.scrollWidth > part.clientWidth + 100")
    head, last = (
        part.locator("tbody tr").first.locator(f":scope > :nth-child({i})") for i in (1, 13)
    )
    before, hidden = head.bounding_box()["x"], last.bounding_box()["x"]
    part.evaluate("part => { part.scrollLeft = part.scrollWidth }")
    assert head.bounding_box()["x"] == before
    assert hidden > 390 > last.bounding_box()["x"] + last.bounding_box()["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert part.locator("caption span").bounding_box()["x"] >= 0
    page.close()
    assert said == []
