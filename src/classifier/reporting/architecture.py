"""A picture of a model's layers, with the shapes of their outputs.

Keras's own ``plot_model`` needs the Graphviz programs on the machine. Here Keras lists the layers
and edges, grandalf computes their positions (Sugiyama et al., Methods for visual understanding of
hierarchical system structures, 1981), and Matplotlib draws them.
"""

from pathlib import Path

import keras
from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout, VertexViewer
from grandalf.routing import EdgeViewer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import BoxStyle, FancyBboxPatch

from classifier.reporting.charts import save_figure

WIDTH, HEIGHT, GAP = 200.0, 30.0, 22.0  # points; a point is 1/72 inch
WITH_WEIGHTS, WITHOUT_WEIGHTS = "#d6e6f7", "#f1f3f5"


def draw_architecture(model: keras.Model, path: Path, *, title: str) -> None:
    """Writes a PNG file: a box per layer, from the image at the top to the classes at the bottom.

    Args:
        model: built, Sequential or Functional; a nested model is one box.
    """
    graph = _layout(model)
    boxes = list(graph.sV)
    left, top = (min(box.view.xy[axis] for box in boxes) for axis in (0, 1))
    right, bottom = (max(box.view.xy[axis] for box in boxes) for axis in (0, 1))
    width, height = right - left + WIDTH + 2 * GAP, bottom - top + HEIGHT + 4 * GAP
    figure = Figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left - WIDTH / 2 - GAP, right + WIDTH / 2 + GAP))
    axes.set(ylim=(bottom + HEIGHT / 2 + GAP, top - HEIGHT / 2 - 3 * GAP))
    axes.axis("off")
    axes.text(
        (left + right) / 2, top - HEIGHT - GAP, title, ha="center", va="center", weight="bold"
    )
    # grandalf keeps the edges in a set: sorted, the file has the same bytes each time.
    for *points, (x, y) in sorted(edge.view.points for edge in graph.sE):
        xs, ys = zip(*points, (x, y - HEIGHT / 2), strict=True)
        axes.plot(xs, ys, color="#8894a3", linewidth=1, zorder=1)
        axes.plot(x, y - HEIGHT / 2 - 2, marker="v", color="#8894a3", markersize=4, zorder=1)
    for box in boxes:
        _draw_layer(axes, box.data, *box.view.xy)
    save_figure(figure, path, dpi=100)


class _EdgeView(EdgeViewer):
    """Keeps the points of an edge, from its layout."""

    def setpath(self, points: list[tuple[float, float]]) -> None:
        self.points = points


def _layout(model: keras.Model) -> Graph:
    """The layers and edges of the model, with their positions in points."""
    dot = keras.utils.model_to_dot(model)
    # A sum of two tensors, say, is an operation, and no layer; a Sequential model has layers alone.
    steps = getattr(model, "operations", model.layers)
    vertices = {str(id(step)): Vertex(step) for step in steps}
    edges = [
        Edge(vertices[edge.get_source()], vertices[edge.get_destination()])
        for edge in dot.get_edges()
    ]
    for vertex in vertices.values():
        vertex.view = VertexViewer(WIDTH, HEIGHT)
    for edge in edges:
        edge.view = _EdgeView()
    (graph,) = Graph(list(vertices.values()), edges).C
    layout = SugiyamaLayout(graph)
    layout.xspace = layout.yspace = GAP
    layout.init_all()
    layout.draw()
    return graph


def _draw_layer(axes: Axes, layer: keras.Operation, x: float, y: float) -> None:
    parameters = layer.count_params() if isinstance(layer, keras.Layer) else 0
    corner = (x - WIDTH / 2, y - HEIGHT / 2)
    style = BoxStyle.Round(pad=0, rounding_size=5)
    colour = WITH_WEIGHTS if parameters else WITHOUT_WEIGHTS
    box = FancyBboxPatch(corner, WIDTH, HEIGHT, style, facecolor=colour, linewidth=0, zorder=2)
    axes.add_patch(box)
    shape = " × ".join(str(size) for size in layer.output.shape[1:])
    text = f"{type(layer).__name__}   {shape}"
    text += f"   {parameters:,} parameters" if parameters else ""
    axes.text(x, y - 6, layer.name, ha="center", va="center", fontsize=8, zorder=3)
    axes.text(x, y + 7, text, ha="center", va="center", fontsize=7, color="#5c6878", zorder=3)
