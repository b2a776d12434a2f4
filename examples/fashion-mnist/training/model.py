"""The network: a small residual CNN with six exits for 28x28 grey images."""

import torch
from torch import nn

EXITS = 6
CLASSES = 10
STEM_CHANNELS = 12
# (channels, stride) of each residual block; one exit hangs on each block.
BLOCKS = [(12, 2), (24, 1), (48, 2), (64, 1), (96, 1), (128, 1)]


class ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return torch.relu(y + self.shortcut(x))


class Head(nn.Module):
    """Global mean over the image, then one linear layer: logits of the ten classes."""

    def __init__(self, channels: int):
        super().__init__()
        self.linear = nn.Linear(channels, CLASSES)

    def forward(self, x):
        return self.linear(x.mean((2, 3)))


class EarlyExitNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, STEM_CHANNELS, 3, 1, 1, bias=False),
            nn.BatchNorm2d(STEM_CHANNELS),
            nn.ReLU(),
        )
        widths = [STEM_CHANNELS] + [channels for channels, _ in BLOCKS]
        self.blocks = nn.ModuleList(
            ResidualBlock(inputs, outputs, stride)
            for inputs, (outputs, stride) in zip(widths, BLOCKS)
        )
        self.heads = nn.ModuleList(Head(channels) for channels, _ in BLOCKS)

    def forward(self, x):
        """Returns (logits of every exit, backbone tensor after every block but the last)."""
        logits, cuts = [], []
        x = self.stem(x)
        for block, head in zip(self.blocks, self.heads):
            x = block(x)
            logits.append(head(x))
            cuts.append(x)
        return logits, cuts[:-1]
