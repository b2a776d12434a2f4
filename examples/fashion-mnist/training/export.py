"""Turns trained weights into the files that are served and tested: run after train.py and refine.py.

Refuses, after writing nothing, a network that misses what the example promises.
"""

import argparse
import hashlib
import json
import pathlib
import tempfile

import numpy as np
import torch

import card
import data
import graph
import metrics as numbers
import plot
import tables
from model import EarlyExitNet

# Between PyTorch and onnxruntime, and between the whole and its halves.
TOLERANCE = 1e-4
COMPARED = 500
LOAD_IMAGES = 1_000
LARGEST_MODEL = 3_000_000


def export(arguments):
    torch.set_num_threads(1)
    run = finished(arguments.work)
    training, held_out = data.split(run["seed"])
    test = data.load("t10k")
    if arguments.trial:
        held_out, test = [tuple(part[:1_000] for part in pair) for pair in (held_out, test)]

    model = onnx_bytes(run, test[0].numpy()[:COMPARED])
    sha = hashlib.sha256(model).hexdigest()
    tables_ = {name: table_of(model, pair, name) for name, pair in {"held out": held_out, "test": test}.items()}
    images = {"heldOut": len(held_out[0]), "test": len(test[0]), "load": LOAD_IMAGES, "training": len(training[0])}
    measured = {"modelSha256": sha, "seed": run["seed"], "images": images}
    measured |= {"epochs": run["epochs"], "refinedEpochs": run["refined_epochs"]}
    measured |= measure(model, *tables_.values())
    requirements = numbers.requirements(measured["exits"])
    report(requirements, arguments.trial)
    write(arguments.out, model, tables_, test, measured, requirements)


def finished(work: pathlib.Path) -> dict:
    file = work / "refined.pt"
    if not file.exists():
        raise SystemExit(f"{file} is missing: run train.py and then refine.py to their ends first")
    return torch.load(file, weights_only=True)


def network_of(state: dict) -> EarlyExitNet:
    network = EarlyExitNet()
    network.load_state_dict(state)
    return network.eval()


def onnx_bytes(run: dict, images: np.ndarray) -> bytes:
    model = graph.to_onnx(network_of(run["weights"]), properties(run))
    graph.check_f32(model)
    graph.check_cuts(model, images, TOLERANCE)
    content = model.SerializeToString(deterministic=True)
    if len(content) > LARGEST_MODEL:
        raise SystemExit(f"the ONNX file has {len(content):,} bytes, more than {LARGEST_MODEL:,}")
    check_against_torch(network_of(run["weights"]), content, images)
    return content


def properties(run: dict) -> dict[str, str]:
    return {
        "name": "fashion-mnist",
        "description": "Small residual network with six exits for 28x28 grey images of clothing.",
        "license": "Apache-2.0",
        "data": "Fashion-MNIST (Zalando SE, MIT)",
        "input": "[N, 1, 28, 28], pixel values in [0, 1]",
        "classes": ", ".join(graph.CLASS_NAMES),
        "exits": ",".join(graph.EXIT_NAMES),
        "cuts": ",".join(graph.CUT_NAMES),
        "confidence": "MaxSoftmax",
        "training": f"{run['epochs']} epochs, then {run['refined_epochs']} of the last block; seed {run['seed']}",
    }


@torch.no_grad()
def check_against_torch(network: EarlyExitNet, model: bytes, images: np.ndarray):
    expected = torch.stack(network(torch.from_numpy(images))[0], dim=1).numpy()
    worst = float(np.abs(tables.logits_of(model, images, "compare with PyTorch") - expected).max())
    print(f"largest difference of a logit from PyTorch: {worst:.1e}", flush=True)
    if not worst <= TOLERANCE:
        raise SystemExit(f"logits of onnxruntime differ from PyTorch by {worst:.1e}: more than {TOLERANCE:.0e}")


def table_of(model: bytes, pair, name: str) -> dict[str, np.ndarray]:
    images, labels = pair
    return tables.exit_table(tables.logits_of(model, images.numpy(), name), labels.numpy())


def measure(model: bytes, held_out: dict, test: dict) -> dict:
    costs = graph.Costs(graph.onnx.load_from_string(model))
    exits = numbers.of_exits(costs, held_out, test)
    return {"exits": exits, "segments": numbers.of_segments(costs), "thresholds": numbers.of_thresholds(test, exits)}


def report(requirements: list[tuple[str, bool]], trial: bool):
    for words, holds in requirements:
        print(f"{'ok    ' if holds else 'MISSED'} {words}", flush=True)
    missed = [words for words, holds in requirements if not holds]
    if missed and not trial:
        raise SystemExit("the network misses its requirements, nothing was written: " + "; ".join(missed))


def write(folder: pathlib.Path, model: bytes, exit_tables: dict, test, measured: dict, requirements):
    """All files or none: they name each other's hash."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as partial:
        new = pathlib.Path(partial)
        (new / "model.onnx").write_bytes(model)
        for name, part in {"exit-table": "held out", "exit-table-test": "test"}.items():
            tables.write(new / f"{name}.safetensors", exit_tables[part], table_metadata(measured, part))
        tables.write(new / "load.safetensors", load(test), {"source": "Fashion-MNIST test images, the first 1,000"})
        (new / "metrics.json").write_text(json.dumps(measured, indent=2) + "\n")
        plot.draw(new / "accuracy.svg", measured)
        (new / "README.md").write_text(card.render(measured, requirements))
        for file in sorted(new.iterdir()):
            print(f"{folder / file.name}: {file.stat().st_size:,} bytes", flush=True)
            file.replace(folder / file.name)


def table_metadata(measured: dict, part: str) -> dict[str, str]:
    sources = {
        "held out": f"Fashion-MNIST training images, held out by seed {measured['seed']}",
        "test": "Fashion-MNIST test images",
    }
    return {
        "modelSha256": measured["modelSha256"],
        "exits": ",".join(graph.EXIT_NAMES),
        "confidence": "MaxSoftmax",
        "source": sources[part],
    }


def load(test) -> dict[str, np.ndarray]:
    images, labels = test
    return {"input": images[:LOAD_IMAGES].numpy(), "label": labels[:LOAD_IMAGES].numpy().astype(np.uint16)}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder of train.py and refine.py")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent, help="folder to write to")
    parser.add_argument("--trial", action="store_true", help="few images, and requirements are only reported")
    return parser.parse_args()


if __name__ == "__main__":
    export(parse_arguments())
