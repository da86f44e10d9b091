"""A tab of the web page for labels that may be wrong: keep, relabel or drop."""

import json
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd
from PIL import Image

from classifier.catalog.corrections import DROP, read_corrections, write_corrections
from classifier.support.errors import InputError

HEIGHT = 400  # pixels, of the picture


class Suspects:
    """The suspects of one pipeline, as ``python -m stages.suspects`` wrote them.

    Attributes:
        pipeline: its name.
        classes: class names in the order of the labels.
        table: id, class, probability_of_class, suggested, probability, picture.
    """

    def __init__(self, root: Path, folder: Path):
        about = json.loads((folder / "about.json").read_text("utf-8"))
        self.pipeline: str = about["pipeline"]
        self.classes: list[str] = about["classes"]
        self._corrections = root / about["corrections"]
        self._folder = folder
        text = ("id", "class", "suggested", "picture")
        self.table = pd.read_csv(
            folder / "suspects.csv", dtype=dict.fromkeys(text, str), keep_default_na=False
        )

    def corrections(self) -> dict[str, str]:
        """What is decided, by id; of other images too."""
        return read_corrections(self._corrections) if self._corrections.exists() else {}

    def decide(self, number: int, label: str) -> None:
        """Writes the class of a suspect, or ``drop``, to the file of corrections."""
        write_corrections(self._corrections, self.corrections() | {self.table["id"][number]: label})

    def picture(self, number: int) -> Image.Image:
        with Image.open(self._folder / self.table["picture"][number]) as picture:
            return picture.convert("RGB")

    def text(self, number: int) -> str:
        """What is known of a suspect, as Markdown."""
        row = self.table.iloc[number].to_dict()
        corrections = self.corrections()
        done = corrections.get(row["id"])
        decision = "not decided yet"
        if done is not None:
            decision = "keep" if done == row["class"] else done if done == DROP else f"now {done}"
        count = int(self.table["id"].isin(list(corrections)).sum())
        return (
            f"**{number + 1} of {len(self.table)}**, {count} decided\n\n`{row['id']}`\n\n"
            f"The dataset says **{row['class']}**; the model gives it "
            f"{100 * row['probability_of_class']:.1f} %.\n\n"
            f"The model says **{row['suggested']}**, with {100 * row['probability']:.1f} %.\n\n"
            f"Decision: **{decision}**"
        )


def found_suspects(root: Path) -> list[Suspects]:
    """The suspects of all pipelines of the checkout ``root`` that have some."""
    folders = sorted(path.parent for path in root.glob("data/suspects/*/about.json"))
    every = [Suspects(root, folder) for folder in folders if not folder.name.startswith(".")]
    return [suspects for suspects in every if len(suspects.table)]


def add_tab(suspects: Suspects) -> None:
    """Adds the tab to the page that is being built."""
    last = len(suspects.table) - 1

    def show(number: int) -> tuple[int, Image.Image, str, str]:
        number = min(max(number, 0), last)
        suggested = suspects.table["suggested"][number]
        try:
            return number, suspects.picture(number), suspects.text(number), suggested
        except (InputError, OSError) as error:
            raise gr.Error(str(error), print_exception=False) from None

    def decide(number: int, label: str) -> tuple[int, Image.Image, str, str]:
        try:
            suspects.decide(number, label)
        except (InputError, OSError) as error:
            raise gr.Error(str(error), print_exception=False) from None
        return show(number + 1)

    with gr.Tab(f"{suspects.pipeline}: labels") as tab, gr.Row():
        place = gr.State(0)
        with gr.Column():
            picture = gr.Image(height=HEIGHT, interactive=False, show_label=False, buttons=[])
        with gr.Column():
            text = gr.Markdown()
            with gr.Row():
                keep, drop = gr.Button("Keep"), gr.Button("Drop", variant="stop")
            label = gr.Dropdown(suspects.classes, label="Its class")
            relabel = gr.Button("Relabel", variant="primary")
            with gr.Row():
                back, forward = gr.Button("Back"), gr.Button("Next")
        outputs: list[Any] = [place, picture, text, label]
        options: dict[str, Any] = {
            "outputs": outputs,
            "show_progress": "hidden",
            # The file is read and written: one decision after the other.
            "concurrency_limit": 1,
            "concurrency_id": "corrections",
        }
        given = suspects.table["class"]
        keep.click(lambda number: decide(number, given[number]), [place], **options)
        drop.click(lambda number: decide(number, DROP), [place], **options)
        relabel.click(decide, [place, label], **options)
        back.click(lambda number: show(number - 1), [place], **options)
        forward.click(lambda number: show(number + 1), [place], **options)
        tab.select(show, [place], **options)
