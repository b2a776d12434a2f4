"""The numbers of the model card, from the exported graph and the exit tables; and what they must reach."""

import numpy as np

from graph import CUT_NAMES, EXIT_NAMES, INPUT, Costs

BINS = 15
THRESHOLDS = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]


def of_exits(costs: Costs, held_out: dict, test: dict) -> list[dict]:
    """One row per exit. Costs are those of a job that leaves here after all earlier heads were evaluated."""
    rows, whole = [], costs.up_to(EXIT_NAMES)[0]
    for index, name in enumerate(EXIT_NAMES):
        macs, weights = costs.up_to(EXIT_NAMES[: index + 1])
        row = {"name": name, "macs": macs, "shareOfWhole": round(macs / whole, 4), "weights": weights}
        for part, table in {"heldOut": held_out, "test": test}.items():
            row[part] = of_table(table, index)
        rows.append(row)
    return rows


def of_table(table: dict, index: int) -> dict:
    confidence = table["confidence"][:, index].astype(np.float64)
    correct = table["prediction"][:, index] == table["label"]
    return {
        "accuracy": round(float(correct.mean()), 4),
        "meanConfidence": round(float(confidence.mean()), 4),
        "ece": round(calibration_error(confidence, correct), 4),
    }


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Expected calibration error: |confidence − accuracy| over equal-width bins, weighted by their samples."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs((confidence[bins == b] - correct[bins == b]).sum()) for b in range(BINS)]
    return sum(gaps) / len(confidence)


def of_segments(costs: Costs) -> list[dict]:
    """What lies between two cuts, its head, and the bytes of one sample that go into it."""
    entries, rows, before = [INPUT, *CUT_NAMES], [], 0
    ends = [*CUT_NAMES, EXIT_NAMES[-1]]
    for entry, end, name in zip(entries, ends, EXIT_NAMES, strict=True):
        alone = costs.up_to([name])[0]
        # The last head belongs to the last segment: there is no cut before it.
        backbone = alone if end == name else costs.up_to([end])[0]
        rows.append({"backboneMacs": backbone - before, "headMacs": alone - backbone, "inputBytes": costs.bytes_of(entry)})
        before = backbone
    return rows


def of_thresholds(table: dict, exits: list[dict]) -> list[dict]:
    return [of_threshold(table, exits, threshold) for threshold in THRESHOLDS]


def of_threshold(table: dict, exits: list[dict], threshold: float) -> dict:
    """One threshold for all exits but the last; a job leaves at the first exit with confidence above it."""
    leaves = table["confidence"] > np.float32(threshold)
    leaves[:, -1] = True
    taken = leaves.argmax(axis=1)
    correct = table["prediction"][np.arange(len(taken)), taken] == table["label"]
    macs = np.array([row["macs"] for row in exits])[taken]
    shares = np.bincount(taken, minlength=len(exits)) / len(taken)
    return {
        "threshold": threshold,
        "exitShares": [round(float(share), 4) for share in shares],
        "accuracy": round(float(correct.mean()), 4),
        "meanMacs": round(float(macs.mean())),
    }


def requirements(exits: list[dict]) -> list[tuple[str, bool]]:
    """(what must hold with the number measured, whether it does), on the test images."""
    accuracy = [row["test"]["accuracy"] for row in exits]
    ratio = exits[-1]["macs"] / exits[0]["macs"]
    rows = [
        (f"last exit reaches 92.5 %: {accuracy[-1]:.2%}", accuracy[-1] >= 0.925),
        (f"first exit lies between 70 % and 87 %: {accuracy[0]:.2%}", 0.70 <= accuracy[0] <= 0.87),
        (f"first exit costs at most a fifth of the whole: whole / first = {ratio:.1f}", ratio >= 5),
    ]
    for number in range(2, len(exits) + 1):
        # Rounded, because the difference of two decimal fractions is not one.
        gain = round(accuracy[number - 1] - accuracy[number - 2], 4)
        least, words = (0.01, "at least a point better") if number <= 4 else (0.0, "no worse")
        rows.append((f"exit {number} is {words} than exit {number - 1}: {gain * 100:+.2f}", gain >= least))
    return rows
