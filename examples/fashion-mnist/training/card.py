"""The model card: tables and text around the numbers."""

import pathlib
import string

import graph
import metrics as numbers
import train

TEMPLATE = pathlib.Path(__file__).with_name("card.md.template")


def render(metrics: dict, requirements: list[tuple[str, bool]]) -> str:
    return string.Template(TEMPLATE.read_text()).substitute(
        recipe(),
        opset=graph.OPSET,
        bins=numbers.BINS,
        sha=metrics["modelSha256"],
        parameters=f"{metrics['exits'][-1]['weights']:,}",
        seed=metrics["seed"],
        epochs=metrics["epochs"],
        refinedEpochs=metrics["refinedEpochs"],
        **{f"{name}_count": f"{count:,}" for name, count in metrics["images"].items()},
        exits=table(EXIT_HEADINGS, map(exit_row, metrics["exits"])),
        thresholds=table(THRESHOLD_HEADINGS, map(threshold_row, metrics["thresholds"])),
        segments=table(SEGMENT_HEADINGS, map(segment_row, enumerate(metrics["segments"], start=1))),
        requirements="\n".join(f"* {words}{'' if holds else ' (**missed**)'}" for words, holds in requirements),
    )


def recipe() -> dict[str, str]:
    return {
        "loss_weights": " ".join(f"{weight:g}" for weight in train.LOSS_WEIGHTS),
        "batch": str(train.BATCH),
        "rate": f"{train.PEAK_LEARNING_RATE:g}",
        "decay": f"{train.WEIGHT_DECAY:g}",
        "shift": str(train.SHIFT),
        "average": f"{train.AVERAGE_DECAY:g}",
    }


EXIT_HEADINGS = ["exit", "10⁶ MACs", "of the whole", "weights", "held out", "test", "mean confidence", "ECE"]


def exit_row(row: dict) -> list[str]:
    test = row["test"]
    return [
        row["name"],
        f"{row['macs'] / 1e6:.2f}",
        f"{row['shareOfWhole']:.1%}",
        f"{row['weights']:,}",
        f"{row['heldOut']['accuracy']:.2%}",
        f"{test['accuracy']:.2%}",
        f"{test['meanConfidence']:.3f}",
        f"{test['ece']:.3f}",
    ]


THRESHOLD_HEADINGS = ["threshold", *[f"leave at {name[4:]}" for name in graph.EXIT_NAMES], "accuracy", "10⁶ MACs, mean"]


def threshold_row(row: dict) -> list[str]:
    shares = [f"{share:.1%}" for share in row["exitShares"]]
    return [f"{row['threshold']:g}", *shares, f"{row['accuracy']:.2%}", f"{row['meanMacs'] / 1e6:.2f}"]


SEGMENT_HEADINGS = ["segment", "bytes in", "10⁶ MACs of the backbone", "MACs of the head"]


def segment_row(numbered: tuple[int, dict]) -> list[str]:
    number, row = numbered
    head = f"{row['headMacs']:,}" if row["headMacs"] else "–"
    return [str(number), f"{row['inputBytes']:,}", f"{row['backboneMacs'] / 1e6:.2f}", head]


def table(headings: list[str], rows) -> str:
    lines = [headings, ["---"] + ["---:"] * (len(headings) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
