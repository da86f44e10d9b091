"""A local web page that classifies photos and drawings.

$ python -m classifier.apps.app        # or: make app

Each registered model has a tab, which says what the model knows and offers test images to try:
with a sketchpad for models of grey images, and with a field for photos for models of colour images.
A pipeline has one more if ``python -m stages.suspects`` listed its labels that may be wrong. Only
this machine can open the page, and the page loads nothing from other servers.
"""

import argparse
import atexit
import logging
import os
import shutil
import sys
import tempfile
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from classifier import tracking
from classifier.apps.handwriting import to_digit
from classifier.images.grids import scaled_to
from classifier.images.pixels import ImageError, to_pixels
from classifier.serving.examples import find_examples
from classifier.serving.loading import NONE_OF_THESE, SavedClassifier, load_classifier
from classifier.support.errors import InputError

# Gradio sends usage data to its makers by default.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

try:
    import gradio as gr
    from gradio.components.image_editor import EditorValue
    from gradio.data_classes import ImageData
except ModuleNotFoundError as error:
    sys.exit(f"app: the package {error.name} is missing: make setup WITH=app")

from classifier.apps.wrong_labels import add_tab, found_suspects

LARGEST_FILE = "20mb"
OVERLAY, SKETCHPAD = 336, 320  # pixels: the longer side; height and width
WAITING = "The answer appears here."
NAMED = 12  # class names in a sentence
INTRODUCTION = """# Image classifiers
Choose a model, then an image. Your images stay on this machine."""


@lru_cache(maxsize=4)
def load(root: Path, uri: str) -> tuple[SavedClassifier, Any]:
    """Loads a registered model: the exported one to predict, and the Keras one for Grad-CAM."""
    from classifier.saved.saving import load_model

    exported = load_classifier(tracking.registered_saved_model(root, uri))
    return exported, load_model(tracking.registered_keras_model(root, uri))


class Answer(NamedTuple):
    """The answer to one image.

    Attributes:
        probabilities: by class.
        explanation: the Grad-CAM of the most probable class over the image, uint8 (H, W, 3), the
            longer side OVERLAY; None for networks without feature maps.
        accepted: whether the image shows one of the classes, as far as the model can tell.
        labels: the classes above their thresholds, where an image may have several; None where it
            has one.
    """

    probabilities: dict[str, float]
    explanation: np.ndarray | None
    accepted: bool
    labels: list[str] | None = None


def answer(root: Path, uri: str, content: bytes | np.ndarray) -> Answer | None:
    """Predicts the class of an image, and explains the prediction with Grad-CAM.

    Args:
        uri: the MLflow URI of a registered model.
        content: an encoded image, or the pixels of a drawing, uint8 (H, W, C).

    Returns:
        None for an empty drawing.

    Raises:
        ImageError: the image cannot be read.
        InputError: the model does not exist.
    """
    from classifier.reporting.explanation import grad_cam, overlay

    exported, model = load(root, uri)
    if isinstance(content, np.ndarray):
        content = to_digit(content)
        if not content.any():
            return None
    images = exported.preprocessing(content)[np.newaxis]
    answers = exported.answer(images)
    probabilities = answers.probabilities[0]
    maps = grad_cam(model, images, probabilities.argmax(keepdims=True))
    explanation = None
    if maps is not None:
        shown = overlay(images, maps)[0]
        explanation = to_pixels(
            shown, size=scaled_to(shown.shape[:2], OVERLAY), channels=3, fit="crop"
        )
    by_class = dict(zip(exported.classes, map(float, probabilities), strict=True))
    labels = None
    if exported.thresholds is not None:
        above = np.flatnonzero(probabilities >= exported.thresholds)
        labels = [exported.classes[at] for at in above[np.argsort(-probabilities[above])]]
    return Answer(by_class, explanation, bool(answers.accepted[0]), labels)


def about(root: Path, version: tracking.Version) -> str:
    """What a version knows, and how good it is, as Markdown."""
    classes = load(root, version.uri)[0].classes
    more = f" and {len(classes) - NAMED:,} more" if len(classes) > NAMED else ""
    knows = f"**Knows {len(classes):,} classes:** {', '.join(classes[:NAMED])}{more}."
    return f"{knows}\n\n{version.description}" if version.description else knows


def example_files(root: Path, uri: str, channels: int, folder: Path) -> list[str]:
    """The test images that were exported with a version, as large as they are shown, in ``folder``.

    Args:
        channels: of the model's images; a sketchpad draws dark on light, as on paper.
    """
    files = []
    for file in find_examples(tracking.registered_saved_model(root, uri)):
        with Image.open(file) as image:
            shown: Image.Image = image
            if channels == 1:
                shown = ImageOps.invert(image).resize((SKETCHPAD, SKETCHPAD))
            shown.save(folder / file.name)
        files.append(str(folder / file.name))
    return files


def sketchpad() -> gr.Sketchpad:
    # With white paper, its brush is chosen from the start.
    paper = np.full((SKETCHPAD, SKETCHPAD, 3), 255, np.uint8)
    return gr.Sketchpad(
        paper,
        label="Draw one",
        height=SKETCHPAD + 90,
        canvas_size=(SKETCHPAD, SKETCHPAD),
        fixed_canvas=True,
        layers=False,
        brush=gr.Brush(SKETCHPAD // 20, colors=["#000000"], color_mode="fixed"),
    )


def photo_field() -> gr.Image:
    """A field with the path of its photo as value, which Gradio does not decode.

    Gradio's own decoding has no limit and no clear message.
    """

    def path(payload: ImageData | None) -> str | None:
        return payload.path if payload else None

    field = gr.Image(label="Drop or photograph one", type="filepath", height=SKETCHPAD)
    # Not by a subclass: for each subclass of a component, Gradio writes a .pyi file next to its
    # module, which mypy then reads in place of the module.
    field.preprocess = path  # type: ignore[method-assign]
    return field


def content_of(value: EditorValue | str | None) -> bytes | np.ndarray | None:
    """The image of a field: an encoded photo, or the pixels of a drawing, uint8 (H, W, C).

    None for an empty field. An example that nobody has drawn on is the background of its sketchpad.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return Path(value).read_bytes()
    drawing = value["background"] if value["composite"] is None else value["composite"]
    assert drawing is None or isinstance(drawing, np.ndarray)  # a sketchpad's type is "numpy"
    return drawing


def build_page(root: Path) -> gr.Blocks:
    """Builds the page for the registered models of the checkout ``root``.

    Raises:
        InputError: there are no registered models.
    """
    models = tracking.registered_models(root)
    for model in models:
        load(root, model.versions[0].uri)  # now, so that the first prediction is fast

    def latest() -> list[gr.Dropdown]:
        versions = {model.name: model.versions for model in tracking.registered_models(root)}
        return [
            gr.Dropdown([version[:2] for version in versions.get(model.name, model.versions)])
            for model in models
        ]

    def classify(uri: str, image: EditorValue | str | None) -> list[Any]:
        content = content_of(image)
        try:
            answered = None if content is None else answer(root, uri, content)
        except ImageError as error:
            raise gr.Error(f"This image cannot be read: {error}", print_exception=False) from None
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from None
        if answered is None:
            return [WAITING, gr.Label(visible=False), gr.Image(visible=False)]
        verdict = "" if answered.accepted else f"**{NONE_OF_THESE.capitalize()}.**"
        if answered.labels is not None:
            named = f"**{', '.join(answered.labels) or 'None of the labels'}**"
            verdict = f"{named}\n\n{verdict}" if verdict else named
        explained = answered.explanation is not None
        return [
            gr.Markdown(verdict, visible=bool(verdict)),
            gr.Label(answered.probabilities, visible=True),
            gr.Image(answered.explanation, visible=explained),
        ]

    def described(name: str, uri: str) -> str:
        every = {model.name: model.versions for model in tracking.registered_models(root)}
        known = {version.uri: version for version in every.get(name, [])}
        return about(root, known[uri]) if uri in known else ""

    dropdowns = []
    folder = Path(tempfile.mkdtemp(prefix="classifier-examples-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with gr.Blocks(title="Image classifiers", analytics_enabled=False) as page:
        gr.Markdown(INTRODUCTION)
        for model in models:
            champion = model.versions[0]
            with gr.Tab(model.name):
                described_here = gr.Markdown(about(root, champion))
                with gr.Row():
                    with gr.Column():
                        image = sketchpad() if model.channels == 1 else photo_field()
                        own = folder / model.name
                        own.mkdir()
                        files = example_files(root, champion.uri, model.channels, own)
                        examples = gr.Examples(files, image, label="Or try a test image")
                    with gr.Column():
                        verdict = gr.Markdown(WAITING)
                        probabilities = gr.Label(
                            label="Probabilities", num_top_classes=5, visible=False
                        )
                        explanation = gr.Image(
                            label="Where it looked (Grad-CAM of the first class)",
                            interactive=False,
                            visible=False,
                            buttons=["download"],
                        )
                choices = [version[:2] for version in model.versions]
                version = gr.Dropdown(choices, value=champion.uri, label="Version")
                dropdowns.append(version)
                version.change(
                    partial(described, model.name), version, described_here, show_progress="hidden"
                )
                answering: dict[str, Any] = {
                    "fn": classify,
                    "inputs": [version, image],
                    "outputs": [verdict, probabilities, explanation],
                    "show_progress": "hidden",
                    # LiteRT's interpreters are not thread-safe.
                    "concurrency_limit": 1,
                    "concurrency_id": "model",
                }
                if model.channels == 1:  # a sketchpad's change event does not tell of each stroke
                    changes = [image.input, image.clear]
                    examples.load_input_event.then(**answering)
                else:
                    changes = [image.change]
                gr.on([*changes, version.change], trigger_mode="always_last", **answering)
        for suspects in found_suspects(root):
            add_tab(suspects)
        page.load(latest, outputs=dropdowns, queue=False)
    return page


def main() -> None:
    logging.basicConfig(format="app: %(message)s")  # warnings of the library
    parser = argparse.ArgumentParser(
        prog="python -m classifier.apps.app", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--port", type=int, help="default: 7860, or the next free port")
    arguments = parser.parse_args()
    try:
        page = build_page(Path.cwd())
    except InputError as error:
        print(f"app: {error}", file=sys.stderr)
        sys.exit(1)
    theme = gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    try:
        _, address, _ = page.launch(
            server_name="127.0.0.1",
            server_port=arguments.port,
            share=False,
            max_file_size=LARGEST_FILE,
            theme=theme,
            footer_links=[],
            show_error=True,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:  # the port is in use
        print(f"app: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(1)
    print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
    page.block_thread()


if __name__ == "__main__":
    main()
