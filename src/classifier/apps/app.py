"""A local web page that classifies drawings and photos.

$ python -m classifier.apps.app        # or: make app

Each registered model has a tab: with a sketchpad for models of grey images, and with a field for
photos for models of colour images. A pipeline has one more if ``python -m stages.suspects`` listed
its labels that may be wrong. Only this machine can open the page, and the page loads nothing from
other servers.
"""

import argparse
import logging
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from classifier import tracking
from classifier.apps.handwriting import to_digit
from classifier.images.grids import scaled_to
from classifier.images.pixels import ImageError, to_pixels
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
OVERLAY, SKETCHPAD = 336, 400  # pixels: the longer side; height and width


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
    """

    probabilities: dict[str, float]
    explanation: np.ndarray | None
    accepted: bool


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
    return Answer(by_class, explanation, bool(answers.accepted[0]))


def sketchpad() -> gr.Sketchpad:
    return gr.Sketchpad(
        label="Draw one",
        height=SKETCHPAD + 100,
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
        return [gr.Dropdown(versions.get(model.name, model.versions)) for model in models]

    def classify(
        uri: str, image: EditorValue | str | None
    ) -> tuple[str, dict[str, float] | None, np.ndarray | None]:
        if image is None:
            return "", None, None
        content: bytes | np.ndarray
        if isinstance(image, str):
            content = Path(image).read_bytes()
        else:
            drawing = image["composite"]
            if drawing is None:  # the canvas was cleared
                return "", None, None
            assert isinstance(drawing, np.ndarray)  # a sketchpad's type is "numpy"
            content = drawing
        try:
            answered = answer(root, uri, content)
        except ImageError as error:
            raise gr.Error(f"This image cannot be read: {error}", print_exception=False) from None
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from None
        if answered is None:
            return "", None, None
        verdict = "" if answered.accepted else f"**{NONE_OF_THESE.capitalize()}.**"
        return verdict, answered.probabilities, answered.explanation

    dropdowns = []
    with gr.Blocks(title="Image classifiers", analytics_enabled=False) as page:
        for model in models:
            with gr.Tab(model.name), gr.Row():
                with gr.Column():
                    choices = model.versions
                    version = gr.Dropdown(choices, value=choices[0].uri, label="Version")
                    dropdowns.append(version)
                    image = sketchpad() if model.channels == 1 else photo_field()
                with gr.Column():
                    verdict = gr.Markdown()
                    probabilities = gr.Label(label="Probabilities", num_top_classes=5)
                    explanation = gr.Image(
                        label="Grad-CAM of the first class",
                        interactive=False,
                        buttons=["download"],
                    )
                gr.on(
                    [image.change, version.change],
                    classify,
                    [version, image],
                    [verdict, probabilities, explanation],
                    trigger_mode="always_last",
                    show_progress="hidden",
                    # LiteRT's interpreters are not thread-safe.
                    concurrency_limit=1,
                    concurrency_id="model",
                )
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
