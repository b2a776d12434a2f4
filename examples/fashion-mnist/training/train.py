"""Trains the network on one thread; the same seed gives the same weights.

Resumable: the state is saved after every epoch, and a second start goes on from there.
"""

import argparse
import copy
import pathlib
import time

import torch
import torch.nn.functional as F

import data
from model import EXITS, EarlyExitNet

# Later exits weigh more, so that the whole network does not pay for its early ones.
LOSS_WEIGHTS = [0.3, 0.45, 0.6, 0.8, 1.0, 1.3]
BATCH = 128
PEAK_LEARNING_RATE = 0.05
WEIGHT_DECAY = 1e-3
SHIFT = 2
# Average over the last few hundred steps: evens out the noise of the last mini-batches.
AVERAGE_DECAY = 0.998


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Per-sample horizontal flip and a shift of up to two pixels."""
    count, size = len(images), images.shape[-1]
    padded = F.pad(images, (SHIFT,) * 4)
    rows = torch.randint(0, 2 * SHIFT + 1, (count, 1), generator=generator) + torch.arange(size)
    columns = torch.randint(0, 2 * SHIFT + 1, (count, 1), generator=generator) + torch.arange(size)
    flipped = torch.rand(count, generator=generator) < 0.5
    columns[flipped] = columns[flipped].flip(1)
    samples = torch.arange(count)[:, None, None]
    return padded[samples, 0, rows[:, :, None], columns[:, None, :]][:, None]


def joint_loss(logits, labels):
    return sum(w * F.cross_entropy(z.float(), labels) for w, z in zip(LOSS_WEIGHTS, logits))


@torch.no_grad()
def accuracies(network, images, labels) -> list[float]:
    network.eval()
    right = torch.zeros(EXITS)
    for x, y in zip(images.split(500), labels.split(500)):
        logits, _ = network(x)
        right += torch.tensor([(z.argmax(1) == y).sum().item() for z in logits])
    return (right / len(images)).tolist()


class Averaged:
    """Exponential moving average of weights and batch-norm statistics."""

    def __init__(self, network):
        self.network = copy.deepcopy(network).eval()

    @torch.no_grad()
    def update(self, network):
        for mean, value in zip(self.network.state_dict().values(), network.state_dict().values()):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - AVERAGE_DECAY)
            else:
                mean.copy_(value)


def train(arguments):
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(arguments.seed)
    (images, labels), held_out = data.split(arguments.seed)
    if arguments.limit:
        images, labels = images[: arguments.limit], labels[: arguments.limit]
    network = EarlyExitNet().to(memory_format=torch.channels_last)
    averaged = Averaged(network)
    optimiser = torch.optim.SGD(
        network.parameters(), PEAK_LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_LEARNING_RATE, total_steps=steps * arguments.epochs, pct_start=0.2
    )
    first = 0
    state_file = arguments.work / f"state-seed{arguments.seed}-epochs{arguments.epochs}.pt"
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        network.load_state_dict(state["network"])
        averaged.network.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        first = state["epoch"]
        print(f"resuming after epoch {first} from {state_file}", flush=True)

    for epoch in range(first, arguments.epochs):
        # One generator an epoch, so that a resumed run draws what an unbroken one would.
        generator = torch.Generator().manual_seed(arguments.seed * 100_003 + epoch)
        order = torch.randperm(len(images), generator=generator)
        network.train()
        started, total = time.monotonic(), 0.0
        for step in range(steps):
            batch = order[step * BATCH : (step + 1) * BATCH]
            x = augment(images[batch], generator).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bf16"):
                logits, _ = network(x)
            loss = joint_loss(logits, labels[batch])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            averaged.update(network)
            total += loss.item()
            if (step + 1) % 50 == 0 or step + 1 == steps:
                seconds = time.monotonic() - started
                left = seconds / (step + 1) * (steps * (arguments.epochs - epoch) - step - 1)
                print(
                    f"epoch {epoch + 1}/{arguments.epochs} step {step + 1}/{steps} "
                    f"loss {total / (step + 1):.3f} about {left / 60:.0f} min left",
                    flush=True,
                )
        shown = " ".join(f"{a:.4f}" for a in accuracies(averaged.network, *held_out))
        print(f"epoch {epoch + 1} done in {time.monotonic() - started:.0f} s; held-out accuracy per exit: {shown}", flush=True)
        state = {
            "network": network.state_dict(),
            "averaged": averaged.network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "epoch": epoch + 1,
        }
        partial = state_file.with_suffix(".part")
        torch.save(state, partial)
        partial.rename(state_file)
    torch.save(averaged.network.state_dict(), arguments.work / "weights.pt")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for the state and the weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--limit", type=int, default=0, help="use only so many training images (for a trial)")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse_arguments()
    arguments.work.mkdir(parents=True, exist_ok=True)
    train(arguments)
