"""The web page and the MLflow UI in headless Chromium."""

import io
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from classifier.sources.drawings import KINDS, draw_flower
from conftest import PYTHON, ROOT, experiment_id, served, stage, without_store
from stages.layout import FOLDERS
from stages.recipe import apply_recipe

pytestmark = pytest.mark.slow

expect.set_options(timeout=60_000)  # ms, for a machine that is busy
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ENOUGH_TO_READ_DIGITS = {
    "download": [],
    "split": ["train=6000", "validation=500"],
    "train": ["epochs=4"],
    "export": ["thresholds.accuracy=0.9", "runtimes=[]"],
}
DRAWN_FLOWERS = {
    "download": ["source=sample"],
    "split": ["train=null", "validation=0.15", "test=0.15"],
    "train": ["epochs=8"],
    "export": ["runtimes=[]"],
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with all seven stages run: few digits, and drawn flowers."""
    folder = tmp_path_factory.mktemp("browser") / "project"
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copy(ROOT / "params.yaml", folder)
    digits = ROOT / "data" / "raw" / "mnist"
    if (digits / "source.json").exists():
        shutil.copytree(digits, folder / "data" / "raw" / "mnist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        apply_recipe("smoke", ["mnist", "flowers"])
        for pipeline, overrides in {
            "mnist": ENOUGH_TO_READ_DIGITS,
            "flowers": DRAWN_FLOWERS,
        }.items():
            for name in FOLDERS:
                if name != "download" or not Path("data", "raw", pipeline).exists():
                    stage(name, f"pipeline={pipeline}", *overrides.get(name, []))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless. Without one, its tests are skipped, but fail in CI."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        message = f"no browser: none of {', '.join(BROWSERS)} is on the PATH"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as playwright:
        # The sandbox does not run as root, and these pages are trusted. No requests for updates.
        quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=program, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def app(checkout: Path) -> Iterator[str]:
    with served(checkout, "classifier.apps.app", "--port", "{port}") as address:
        yield address


@pytest.fixture
def urls(page: Page, app: str) -> list[str]:
    """Opens the page; the URLs that it requests."""
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(app)
    return requested


def drawing(kind: str) -> bytes:
    """A drawn flower that is not in the dataset, as PNG."""
    content = io.BytesIO()
    draw_flower(KINDS[kind], random.Random("another")).save(content, "PNG")
    return content.getvalue()


def tab(page: Page, name: str) -> Locator:
    page.get_by_role("tab", name=name).click()
    return page.get_by_role("tabpanel").filter(visible=True)


def draw(page: Page, panel: Locator, *points: tuple[float, float]) -> None:
    """Draws one stroke; its points are fractions of the pad's width and height."""
    panel.get_by_role("button", name="Brush", exact=True).click()
    pad = panel.locator("canvas").first.bounding_box()
    assert pad is not None
    pixels = [(pad["x"] + x * pad["width"], pad["y"] + y * pad["height"]) for x, y in points]
    page.mouse.move(*pixels[0])
    page.mouse.down()
    for pixel in pixels[1:]:
        page.mouse.move(*pixel, steps=15)
    page.mouse.up()


def test_a_drawn_7_is_read(page: Page, urls: list[str], app: str) -> None:
    panel = tab(page, "mnist")
    draw(page, panel, (0.35, 0.25), (0.65, 0.25), (0.45, 0.75))
    expect(panel.get_by_test_id("label-output-value")).to_have_text("7")
    expect(panel.locator("img")).to_have_count(11)  # ten test images, and the explanation
    panel.get_by_role("button", name="Clear canvas").click()
    expect(panel.get_by_test_id("label-output-value")).to_have_count(0)
    assert [url for url in urls if not url.startswith((app, "data:", "blob:"))] == []


def test_a_test_image_is_classified(page: Page, urls: list[str]) -> None:
    panel = tab(page, "mnist")
    expect(panel).to_contain_text("Knows 10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9.")
    expect(panel).to_contain_text("The answer appears here.")
    panel.get_by_text("Or try a test image").locator("..").locator("img").nth(1).click()
    expect(panel.get_by_test_id("label-output-value")).to_have_text("1")
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_dropped_rose_gets_the_answer_of_the_command_line(
    page: Page, urls: list[str], checkout: Path, tmp_path: Path
) -> None:
    rose = tmp_path / "rose.png"
    rose.write_bytes(drawing("roses"))
    words = [PYTHON, "-m", "classifier.apps.classify", "flowers", str(rose), "--format", "jsonl"]
    printed = subprocess.run(words, cwd=checkout, env=without_store(), stdout=subprocess.PIPE)
    best = json.loads(printed.stdout)["top"][0]
    panel = tab(page, "flowers")
    panel.locator("input[type=file]").set_input_files(rose)
    expect(panel.get_by_test_id("label-output-value")).to_have_text(best["class"])
    expect(panel).to_contain_text(re.compile(rf"{100 * best['probability']:.0f}\s*%"))


def not_an_image() -> bytes:
    return b"not an image"


def huge_image() -> bytes:
    """A PNG with 50,000 x 50,000 pixels in its header."""
    content = drawing("tulips")
    return content[:16] + (50_000).to_bytes(4, "big") * 2 + content[24:]


@pytest.mark.parametrize(("name", "content"), [("a.jpg", not_an_image), ("a.png", huge_image)])
def test_a_bad_file_gets_a_message(
    page: Page, urls: list[str], tmp_path: Path, name: str, content: Callable[[], bytes]
) -> None:
    file = tmp_path / name
    file.write_bytes(content())
    panel = tab(page, "flowers")
    panel.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("This image cannot be read:")).to_be_visible()


def test_a_version_can_be_chosen(page: Page, urls: list[str]) -> None:
    panel = tab(page, "mnist")
    version = panel.get_by_label("Version")
    expect(version).to_have_value("version 1, champion, candidate")
    version.click()
    expect(page.get_by_role("option")).to_contain_text(["version 1, champion, candidate"])


@pytest.fixture(scope="module")
def tracking_server(checkout: Path) -> Iterator[str]:
    store = ("--backend-store-uri", f"sqlite:///{checkout / 'mlflow.db'}")
    server = ("mlflow", "server", *store, "--host", "127.0.0.1", "--port", "{port}")
    with served(checkout, *server, "--workers", "1") as address:
        yield address


@pytest.fixture(scope="module")
def run(checkout: Path, tracking_server: str) -> str:
    """The path of the digits' run in the UI."""
    client = MlflowClient(f"sqlite:///{checkout / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "mnist")])
    return f"{tracking_server}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def test_the_run_says_what_it_is(page: Page, run: str) -> None:
    page.goto(run)
    expect(page.get_by_text("test.accuracy", exact=True).first).to_be_visible()
    expect(page.get_by_text("train.optimizer.learning_rate", exact=True).first).to_be_visible()


def test_curves_by_epoch(page: Page, run: str) -> None:
    page.goto(f"{run}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill("val_accuracy")
    expect(page.get_by_role("heading", name="val_accuracy", exact=True)).to_be_visible()
    expect(page.locator(".js-plotly-plot .scatterlayer path.js-line").first).to_be_attached()


def test_the_confusion_matrix_shows(page: Page, run: str) -> None:
    page.goto(f"{run}/artifacts/evaluation/confusion.png")
    image = page.locator("img[src^='blob:'], .image-outer-container img").first
    expect(image).to_be_visible()


def test_the_registered_model_has_its_aliases(page: Page, tracking_server: str) -> None:
    page.goto(f"{tracking_server}/#/models/mnist")
    expect(page.get_by_text("champion").first).to_be_visible()
    expect(page.get_by_text("candidate").first).to_be_visible()
