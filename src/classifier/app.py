"""A local web page that classifies what is drawn, dropped or photographed.

$ python -m classifier.app        # or: make app

Every registered model has a tab: a pad to draw on for grey images, a place for a photo for colour
ones. The page is served to this machine alone, and loads nothing from elsewhere.
"""

import argparse
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from classifier import tracking
from classifier.data.handwriting import to_digit
from classifier.data.images import ImageError, to_pixels
from classifier.errors import InputError
from classifier.serving import SavedClassifier, load_classifier

# Nothing is reported to anyone unless the user asks for it.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gradio as gr

LARGEST_FILE = "20mb"
SHOWN, PAD = 336, 400  # pixels a side: of the map, and to draw on


@lru_cache(maxsize=4)
def load(root: Path, uri: str) -> tuple[SavedClassifier, Any]:
    """A registered model, to answer, and the Keras model that it was made of, to look into."""
    from classifier.saving import load_model

    exported = load_classifier(tracking.registered_saved_model(root, uri))
    return exported, load_model(tracking.registered_keras_model(root, uri))


def answer(
    root: Path, uri: str, content: bytes | np.ndarray
) -> tuple[dict[str, float], np.ndarray | None] | None:
    """Probabilities by class, and the picture with what spoke for the first one over it.

    Args:
        content: an encoded picture, or a drawing's pixels, uint8 (H, W, C).

    Returns:
        The map is uint8 (SHOWN, SHOWN, 3), None for a network without feature maps. None
        altogether for a drawing of nothing.

    Raises:
        ImageError: the picture cannot be read.
        InputError: there is no such model.
    """
    from classifier.explanation import grad_cam, overlay

    exported, model = load(root, uri)
    size, _, channels = exported.shape
    if isinstance(content, np.ndarray):
        content = to_digit(content)
        if not content.any():
            return None
    images = to_pixels(content, size=size, channels=channels, fit="crop")[np.newaxis]
    probabilities = exported.predict(images)[0]
    maps = grad_cam(model, images, probabilities.argmax(keepdims=True))
    seen = None
    if maps is not None:
        seen = to_pixels(overlay(images, maps)[0], size=SHOWN, channels=3, fit="crop")
    return dict(zip(exported.classes, map(float, probabilities), strict=True)), seen


def build_page(root: Path) -> gr.Blocks:
    """The page of the models that are registered in the checkout ``root``.

    Raises:
        InputError: there is none.
    """
    models = tracking.registered_models(root)
    for model in models:
        load(root, model.versions[0].uri)  # so that the first answer need not wait for it

    def latest() -> list[gr.Dropdown]:
        known = {model.name: model.versions for model in tracking.registered_models(root)}
        return [gr.Dropdown(known.get(model.name, model.versions)) for model in models]

    def classify(uri: str, picture: Any) -> tuple[dict[str, float] | None, np.ndarray | None]:
        if picture is None:
            return None, None
        drawn = isinstance(picture, dict)
        try:
            found = answer(root, uri, picture["composite"] if drawn else Path(picture).read_bytes())
        except ImageError as error:
            raise gr.Error(f"This picture cannot be read: {error}", print_exception=False) from None
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return found or (None, None)

    dropdowns = []
    with gr.Blocks(title="Image classifiers", analytics_enabled=False) as page:
        for model in models:
            with gr.Tab(model.name), gr.Row():
                with gr.Column():
                    choices = model.versions
                    version = gr.Dropdown(choices, value=choices[0].uri, label="Version")
                    dropdowns.append(version)
                    if model.channels == 1:
                        picture = gr.Sketchpad(
                            label="Draw one",
                            height=PAD + 100,
                            canvas_size=(PAD, PAD),
                            fixed_canvas=True,
                            layers=False,
                            brush=gr.Brush(PAD // 20, colors=["#000000"], color_mode="fixed"),
                        )
                    else:
                        picture = gr.Image(
                            label="Drop or photograph one", type="filepath", height=PAD
                        )
                        # Gradio would decode it first: without a limit, without a clear word.
                        picture.preprocess = lambda file: file.path if file else None
                with gr.Column():
                    probabilities = gr.Label(label="Probabilities", num_top_classes=5)
                    seen = gr.Image(
                        label="What spoke for it (Grad-CAM)",
                        interactive=False,
                        buttons=["download"],
                    )
                gr.on(
                    [picture.change, version.change],
                    classify,
                    [version, picture],
                    [probabilities, seen],
                    trigger_mode="always_last",
                    show_progress="hidden",
                    # Grad-CAM listens to a layer while it runs: one picture at a time.
                    concurrency_limit=1,
                    concurrency_id="model",
                )
        page.load(latest, outputs=dropdowns, queue=False)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(prog="classifier.app", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, help="7860, or the next one that is free")
    arguments = parser.parse_args()
    try:
        page = build_page(Path.cwd())
    except InputError as error:
        print(f"app: {error}", file=sys.stderr)
        sys.exit(1)
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    try:
        _, address, _ = page.launch(
            server_name="127.0.0.1",
            server_port=arguments.port,
            share=False,
            max_file_size=LARGEST_FILE,
            theme=gr.themes.Default(**fonts),
            footer_links=[],
            show_error=True,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:  # the port is taken
        print(f"app: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(1)
    print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
    page.block_thread()


if __name__ == "__main__":
    main()
