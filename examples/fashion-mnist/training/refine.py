"""Second phase, after train.py: the last block and its exit alone, everything before them frozen.

Trained jointly, the blocks before it learn to answer by themselves and the last one mostly repeats them: exits 5 and 6
say the same of all but a few images. On its own it gets better, and no other exit changes.
"""

import argparse
import pathlib
import time

import torch
import torch.nn.functional as F

import data
from model import EarlyExitNet
from train import BATCH, Averaged, accuracies, augment

PEAK_LEARNING_RATE = 0.05
# Half of the first phase's: the network does not fit its training images too closely, rather too little.
WEIGHT_DECAY = 5e-4
EPOCHS = 4
# Apart from the seeds of the first phase's epochs.
FIRST_EPOCH_SEED = 1_000


def refine(arguments):
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    trained, epochs = first_phase(arguments.work, arguments.seed)
    network = EarlyExitNet()
    network.load_state_dict(trained)
    averaged = train_last(network.to(memory_format=torch.channels_last), arguments)
    run = {"weights": averaged.state_dict(), "seed": arguments.seed, "epochs": epochs, "refined_epochs": arguments.epochs}
    torch.save(run, arguments.work / "refined.pt")


def first_phase(work: pathlib.Path, seed: int) -> tuple[dict, int]:
    """(weights, epochs). The seed decides which images were held out, so weights of another seed are refused."""
    file = work / "weights.pt"
    if not file.exists():
        raise SystemExit(f"{file} is missing: run train.py to its end first")
    weights = torch.load(file, weights_only=True)
    for state_file in sorted(work.glob(f"state-seed{seed}-epochs*.pt")):
        state = torch.load(state_file, weights_only=True)
        if all(torch.equal(state["averaged"][name], value) for name, value in weights.items()):
            return weights, state["epoch"]
    raise SystemExit(f"{file} does not come from a run with seed {seed}: pass its --seed, or run train.py")


def train_last(network: EarlyExitNet, arguments) -> EarlyExitNet:
    (images, labels), held_out = data.split(arguments.seed)
    if arguments.limit:
        images, labels = images[: arguments.limit], labels[: arguments.limit]
    averaged = Averaged(network)
    steps = len(images) // BATCH
    optimiser, schedule = optimiser_of(only_last_learns(network), steps * arguments.epochs)
    for epoch in range(arguments.epochs):
        started, total = time.monotonic(), 0.0
        for step, (x, y) in enumerate(batches(images, labels, arguments.seed, epoch), start=1):
            loss = F.cross_entropy(last_logits(network, x), y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            averaged.update(network)
            total += loss.item()
            if step % 50 == 0 or step == steps:
                seconds = time.monotonic() - started
                left = seconds / step * (steps * (arguments.epochs - epoch) - step)
                print(
                    f"refining epoch {epoch + 1}/{arguments.epochs} step {step}/{steps} "
                    f"loss {total / step:.4f} about {left / 60:.0f} min left",
                    flush=True,
                )
        shown = " ".join(f"{a:.4f}" for a in accuracies(averaged.network, *held_out))
        print(f"refining epoch {epoch + 1} done; held-out accuracy per exit: {shown}", flush=True)
    return averaged.network


def only_last_learns(network: EarlyExitNet) -> list[torch.nn.Parameter]:
    """The rest keeps its weights and its batch-norm statistics."""
    network.eval().requires_grad_(False)
    learning = torch.nn.ModuleList([network.blocks[-1], network.heads[-1]])
    learning.train().requires_grad_(True)
    return list(learning.parameters())


def optimiser_of(parameters, steps: int):
    optimiser = torch.optim.SGD(
        parameters, PEAK_LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_LEARNING_RATE, total_steps=steps, pct_start=0.2)
    return optimiser, schedule


def batches(images, labels, seed: int, epoch: int):
    generator = torch.Generator().manual_seed(seed * 100_003 + FIRST_EPOCH_SEED + epoch)
    order = torch.randperm(len(images), generator=generator)
    for start in range(0, len(images) - BATCH + 1, BATCH):
        batch = order[start : start + BATCH]
        yield augment(images[batch], generator).contiguous(memory_format=torch.channels_last), labels[batch]


def last_logits(network: EarlyExitNet, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        x = network.stem(x)
        for block in network.blocks[:-1]:
            x = block(x)
    return network.heads[-1](network.blocks[-1](x))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder of train.py, with weights.pt")
    parser.add_argument("--seed", type=int, default=1, help="the seed of train.py")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--limit", type=int, default=0, help="use only so many training images (for a trial)")
    return parser.parse_args()


if __name__ == "__main__":
    refine(parse_arguments())
