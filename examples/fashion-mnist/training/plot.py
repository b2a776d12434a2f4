"""Accuracy against cost as an SVG that is the same, byte for byte, for the same numbers."""

import pathlib

import matplotlib
import numpy as np

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, MultipleLocator  # noqa: E402

BLUE, ORANGE, GREEN = "#1f5fa8", "#d9730d", "#2d7d46"


def draw(path: pathlib.Path, metrics: dict):
    # Ids inside the file are hashes of this salt, and random without one.
    plt.rcParams["svg.hashsalt"] = "eenn-operator"
    plt.rcParams["font.family"] = "DejaVu Sans"
    figure, axes = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
    draw_exits(axes, metrics["exits"])
    draw_thresholds(axes, metrics["thresholds"], metrics["exits"])
    label(axes)
    # Room for the words at the outermost points.
    axes.margins(x=0.08, y=0.08)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_exits(axes, exits: list[dict]):
    macs = [row["macs"] / 1e6 for row in exits]
    for part, name, colour, style in [("test", "test", BLUE, "-"), ("heldOut", "held out", ORANGE, "--")]:
        accuracy = [100 * row[part]["accuracy"] for row in exits]
        axes.plot(macs, accuracy, style, color=colour, marker="o", markersize=5, label=f"one exit for all images, {name}")
    for number, (x, row) in enumerate(zip(macs, exits), start=1):
        y = 100 * min(row["test"]["accuracy"], row["heldOut"]["accuracy"])
        axes.annotate(f"exit {number}", (x, y), (5, -13), textcoords="offset points", fontsize=9, color="#333333")


def draw_thresholds(axes, rows: list[dict], exits: list[dict]):
    macs, accuracy = [row["meanMacs"] / 1e6 for row in rows], [100 * row["accuracy"] for row in rows]
    axes.plot(macs, accuracy, ":", color=GREEN, marker="D", markersize=4, label="one threshold for all exits, test")
    # Words go above the held-out curve, which crosses this one.
    costs, held_out = [row["macs"] / 1e6 for row in exits], [100 * row["heldOut"]["accuracy"] for row in exits]
    for x, y, row in zip(macs, np.maximum(accuracy, np.interp(np.log(macs), np.log(costs), held_out)), rows):
        axes.annotate(
            f"{row['threshold']:g}", (x, y), (-3, 6), textcoords="offset points", fontsize=8, color=GREEN, ha="right"
        )


def label(axes):
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 5, 10, 20, 30])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.yaxis.set_major_locator(MultipleLocator(2))
    axes.set_xlabel("million multiply-accumulates per image (mean, log scale)")
    axes.set_ylabel("accuracy in %")
    axes.set_title("Fashion-MNIST: accuracy against cost", fontsize=11)
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)
    for side in ["top", "right"]:
        axes.spines[side].set_visible(False)
