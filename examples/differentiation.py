"""Four ways to differentiate, side by side: python examples/differentiation.py

Training needs derivatives. This script computes those of ln(x1) + x1 x2 - sin(x2) at (2, 5), the
example of Baydin et al., Automatic differentiation in machine learning: a survey, JMLR 2018:
numerically, symbolically, and by the forward and the reverse mode of automatic differentiation. It
prints their errors and costs, and plots the numerical error against the step. ``--graph`` draws the
function as a graph, with the values and derivatives of its steps.
"""

import argparse
import math
import operator
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
import tensorflow as tf

try:
    import sympy
except ModuleNotFoundError:
    raise SystemExit("sympy is missing: make setup WITH=learn") from None

POINT = (2.0, 5.0)

# The function, once in plain Python and once in TensorFlow's operations.


def f(x1: float, x2: float) -> float:
    return math.log(x1) + x1 * x2 - math.sin(x2)


def f_tensor(x1: tf.Tensor, x2: tf.Tensor) -> tf.Tensor:
    return tf.math.log(x1) + x1 * x2 - tf.sin(x2)


# The function as a graph: steps of one operation each, every one after those that it needs.


class Step(NamedTuple):
    name: str
    formula: str
    inputs: tuple[str, ...]
    operation: Callable[..., float]
    slopes: Callable[..., tuple[float, ...]]  # derivative of the operation by each of its inputs


STEPS = (
    Step("v1", "ln(x1)", ("x1",), math.log, lambda a: (1 / a,)),
    Step("v2", "x1 * x2", ("x1", "x2"), operator.mul, lambda a, b: (b, a)),
    Step("v3", "sin(x2)", ("x2",), math.sin, lambda a: (math.cos(a),)),
    Step("v4", "v1 + v2", ("v1", "v2"), operator.add, lambda a, b: (1, 1)),
    Step("y", "v4 - v3", ("v4", "v3"), operator.sub, lambda a, b: (1, -1)),
)


def values() -> dict[str, float]:
    """The value of each step, from the inputs to y."""
    value = dict(zip(("x1", "x2"), POINT, strict=True))
    for step in STEPS:
        value[step.name] = step.operation(*[value[name] for name in step.inputs])
    return value


def tangents(x1: float, x2: float) -> dict[str, float]:
    """Forward mode: the derivative of each step along (x1, x2)."""
    value = values()
    tangent = {"x1": x1, "x2": x2}
    for step in STEPS:
        slopes = step.slopes(*[value[name] for name in step.inputs])
        tangent[step.name] = 0.0
        for slope, name in zip(slopes, step.inputs, strict=True):
            tangent[step.name] += slope * tangent[name]
    return tangent


def adjoints() -> dict[str, float]:
    """Reverse mode: the derivative of y by each step, from y back."""
    value = values()
    adjoint = dict.fromkeys(value, 0.0) | {"y": 1.0}
    for step in reversed(STEPS):
        slopes = step.slopes(*[value[name] for name in step.inputs])
        for slope, name in zip(slopes, step.inputs, strict=True):
            adjoint[name] += slope * adjoint[step.name]
    return adjoint


# 1. Numerically: the slope of a short secant. Each coordinate costs two calls. The step is a
#    compromise: if it is too large, the secant is not the tangent; if it is too small, the two
#    values differ only in their last digits.


def central(step: float) -> list[float]:
    x1, x2 = POINT
    return [
        (f(x1 + step, x2) - f(x1 - step, x2)) / (2 * step),
        (f(x1, x2 + step) - f(x1, x2 - step)) / (2 * step),
    ]


def one_sided(step: float) -> list[float]:
    x1, x2 = POINT
    return [(f(x1 + step, x2) - f(x1, x2)) / step, (f(x1, x2 + step) - f(x1, x2)) / step]


# 2. Symbolically: SymPy applies the rules of calculus to the formula. The result is an exact
#    formula, which can be evaluated to any number of digits.

symbols = sympy.symbols("x1 x2")
formula = sympy.log(symbols[0]) + symbols[0] * symbols[1] - sympy.sin(symbols[1])
derivatives = [sympy.diff(formula, symbol) for symbol in symbols]
evaluate = sympy.lambdify(symbols, derivatives)
exact = [d.evalf(40, subs=dict(zip(symbols, POINT, strict=True))) for d in derivatives]


# 3. Forward mode: each operation returns its value and its derivative along one direction. One
#    pass per coordinate.


def forward() -> list[float]:
    slopes = []
    for direction in ((1.0, 0.0), (0.0, 1.0)):
        inputs = [tf.constant(value, tf.float64) for value in POINT]
        tangents = [tf.constant(value, tf.float64) for value in direction]
        with tf.autodiff.ForwardAccumulator(inputs, tangents) as accumulator:
            value = f_tensor(*inputs)
        slopes.append(float(accumulator.jvp(value)))
    return slopes


# 4. Reverse mode: the operations are recorded, then visited once in reverse order. One pass for all
#    coordinates: this is backpropagation, and makes networks of millions of weights trainable.


def reverse() -> list[float]:
    inputs = [tf.constant(value, tf.float64) for value in POINT]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = f_tensor(*inputs)
    return [float(slope) for slope in tape.gradient(value, inputs)]


def error_of(slopes: list[float]) -> float:
    """The largest difference from the exact derivatives."""
    return max(abs(float(e - sympy.Float(s, 40))) for e, s in zip(exact, slopes, strict=True))


def microseconds(function: Callable[[], object], repeats: int = 201) -> float:
    """The median time of a call."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return 1e6 * statistics.median(times)


def draw(path: Path) -> None:
    """Plots the errors of both numerical differences, and their theory, against the step."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    steps = np.logspace(-1, -15, 141)
    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    for name, way, colour in (
        ("one-sided difference", one_sided, "#b5651d"),
        ("central difference", central, "#1f5fa5"),
    ):
        errors = [max(error_of(way(step)), 1e-17) for step in steps]
        axes.loglog(steps, errors, color=colour, label=name)
    # Truncation errors by Taylor's theorem, with the derivatives in x2, which are the larger ones;
    # the rounding error is that of f, divided by the step.
    second, third = (
        float(abs(sympy.diff(formula, symbols[1], n).subs(symbols[1], 5))) for n in (2, 3)
    )
    rounding = np.finfo(np.float64).eps * abs(f(*POINT)) / 2
    axes.loglog(steps, second / 2 * steps, ":", color="#b5651d", label="truncation, order 1")
    axes.loglog(steps, third / 6 * steps**2, ":", color="#1f5fa5", label="truncation, order 2")
    axes.loglog(steps, rounding / steps, "--", color="gray", label="rounding, order -1")
    axes.set(
        title="Numerical derivatives of ln(x1) + x1 x2 - sin(x2) at (2, 5)",
        xlabel="step",
        ylabel="error",
        ylim=(1e-14, 1e1),
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110, metadata={"Software": None})


# Where the nodes of the graph are drawn.
PLACES = {"x1": (0, 3), "x2": (0, 0), "v1": (2, 3), "v2": (2, 1.5), "v3": (2, 0)}
PLACES |= {"v4": (4, 2.25), "y": (6, 1.2)}


def draw_graph(path: Path) -> None:
    """Draws the graph: in each node its value, and below it the derivative of y by it."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    value, adjoint = values(), adjoints()
    figure, axes = plt.subplots(figsize=(8.5, 4), layout="constrained")
    formulas = {step.name: f"{step.name} = {step.formula}" for step in STEPS}
    boxes = {}
    for name, (x, y) in PLACES.items():
        box = {"boxstyle": "round,pad=0.5", "facecolor": "#e0f2f1", "edgecolor": "#00796b"}
        label = f"{formulas.get(name, name)}\n{value[name]:.4f}"
        node = axes.text(x, y, label, ha="center", va="center", bbox=box)
        boxes[name] = node.get_bbox_patch()
        slope = f"dy/d{name} = {adjoint[name]:.4f}"
        axes.text(x, y - 0.52, slope, ha="center", va="center", color="#b5651d")
    for step in STEPS:
        for name in step.inputs:
            ends = {"patchA": boxes[name], "patchB": boxes[step.name], "shrinkA": 0, "shrinkB": 2}
            arrow = {"arrowstyle": "-|>", "color": "gray", **ends}
            axes.annotate("", PLACES[step.name], PLACES[name], arrowprops=arrow)
    axes.set(xlim=(-0.7, 6.8), ylim=(-0.8, 3.5))
    axes.axis("off")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/differentiation.png"))
    parser.add_argument("--graph", type=Path, help="draw the graph there, and nothing else")
    arguments = parser.parse_args()
    if arguments.graph:
        draw_graph(arguments.graph)
        return
    output = arguments.output

    print("f(x1, x2) =", formula)
    for symbol, derivative, value in zip(symbols, derivatives, exact, strict=True):
        print(f"df/d{symbol} = {derivative} = {sympy.N(value, 20)}")
    step = np.finfo(np.float64).eps ** (1 / 3)
    ways: list[tuple[str, Callable[[], list[float]], str]] = [
        ("numerical", lambda: central(step), "4 calls of f"),
        ("symbolic", lambda: evaluate(*POINT), "2 formulas"),
        ("forward mode", forward, "2 passes"),
        ("reverse mode", reverse, "1 pass and back"),
    ]
    table = pd.DataFrame(
        {
            "way": name,
            "df/dx1": f"{way()[0]:.15f}",
            "df/dx2": f"{way()[1]:.15f}",
            "error": f"{error_of(way()):.1e}",
            "cost": cost,
            "microseconds": round(microseconds(way), 1),
        }
        for name, way, cost in ways
    )
    print(f"\n{table.to_string(index=False)}\n")
    draw(output)
    print(f"{output}: error against step")


if __name__ == "__main__":
    main()
