"""Exit tables and images as safetensors files; the same values give the same bytes."""

import json
import pathlib

import numpy as np
from safetensors.numpy import save

from graph import EXIT_NAMES, INPUT, session

BATCH = 250


def logits_of(model: bytes, images: np.ndarray, what: str) -> np.ndarray:
    """Logits of all exits: [N, L, classes]."""
    runner, parts = session(model), []
    for start in range(0, len(images), BATCH):
        outputs = runner.run(EXIT_NAMES, {INPUT: images[start : start + BATCH]})
        parts.append(np.stack(outputs, axis=1))
        done = min(start + BATCH, len(images))
        if done % 2_500 == 0 or done == len(images):
            print(f"{what}: {done}/{len(images)} images", flush=True)
    return np.concatenate(parts)


def exit_table(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    # In f64 and rounded once: nobody's own f32 softmax is favoured.
    shifted = logits.astype(np.float64) - logits.max(axis=2, keepdims=True)
    weights = np.exp(shifted)
    confidence = weights.max(axis=2) / weights.sum(axis=2)
    return {
        "confidence": confidence.astype(np.float32),
        "prediction": logits.argmax(axis=2).astype(np.uint16),
        "label": labels.astype(np.uint16),
    }


def write(path: pathlib.Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]):
    path.write_bytes(with_sorted_metadata(save(tensors, metadata)))


def with_sorted_metadata(content: bytes) -> bytes:
    """The library writes metadata in the order of a hash map, another one in each process."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(size)
    assert len(text) == size, "only the order of the metadata changes"
    return content[:8] + text + content[8 + size :]
