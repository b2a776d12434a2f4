"""Makes the ONNX files of this folder and the outputs that ONNX Runtime computes with them.

Run once, and again when a network changes: needs torch, onnx, onnxruntime, safetensors. The files are committed.
The networks are random: the tests compare roads of computation, not accuracies.
"""

import pathlib
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from safetensors.numpy import save_file
from torch import nn

HERE = pathlib.Path(__file__).parent
CLASSES = 5
SAMPLES = 8
SHAPE = (3, 12, 12)
EXITS = ["early", "middle", "late", "final"]


class Convolution(nn.Sequential):
    def __init__(self, inputs, outputs, kernel=3, stride=1):
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)
        )


class Head(nn.Module):
    def __init__(self, channels, probabilities):
        super().__init__()
        self.linear = nn.Linear(channels, CLASSES)
        # Random scores lie close together; spread they give confidences between 0.2 and 1.
        self.linear.weight.data *= 12
        self.probabilities = probabilities

    def forward(self, x):
        scores = self.linear(x)
        return torch.softmax(scores, 1) if self.probabilities else scores


def mean(x):
    return x.mean((2, 3))


class Branchy(nn.Module):
    """Residual blocks round an Inception block. `early` hangs inside a residual block, `middle` on the concatenation,
    and `late` reads both the concatenation and a tensor of the block after it."""

    def __init__(self, probabilities=False):
        super().__init__()
        self.stem = Convolution(3, 8)
        self.first = nn.ModuleList([Convolution(8, 8), Convolution(8, 8)])
        self.branches = nn.ModuleList([Convolution(8, 4, 1), Convolution(8, 8), Convolution(8, 4, 1)])
        self.second = nn.ModuleList([Convolution(16, 24, 3, 2), Convolution(24, 24), Convolution(16, 24, 1, 2)])
        self.third = nn.ModuleList([Convolution(24, 24), Convolution(24, 24)])
        self.heads = nn.ModuleList(Head(channels, probabilities) for channels in [8, 16, 40, 24])

    def forward(self, x):
        x = torch.relu(self.stem(x))
        inner = torch.relu(self.first[0](x))
        early = self.heads[0](mean(inner))
        x = torch.relu(x + self.first[1](inner))
        pooled = torch.max_pool2d(x, 3, 1, 1)
        x = torch.cat([self.branches[0](x), self.branches[1](x), self.branches[2](pooled)], 1)
        x = torch.relu(x)
        middle = self.heads[1](mean(x))
        inner = torch.relu(self.second[0](x))
        late = self.heads[2](torch.cat([mean(x), mean(inner)], 1))
        x = torch.relu(self.second[1](inner) + self.second[2](x))
        x = torch.relu(x + self.third[1](torch.relu(self.third[0](x))))
        return early, middle, late, self.heads[3](mean(x))


class LongSkip(nn.Module):
    """The stem is added again after the second block: there is no cut between the blocks."""

    def __init__(self):
        super().__init__()
        self.stem = Convolution(3, 6)
        self.blocks = nn.ModuleList([Convolution(6, 6), Convolution(6, 6), Convolution(6, 6)])
        self.heads = nn.ModuleList(Head(6, False) for _ in range(3))

    def forward(self, x):
        stem = torch.relu(self.stem(x))
        between = torch.relu(self.blocks[0](stem))
        after = torch.relu(self.blocks[1](between) + stem)
        end = torch.relu(self.blocks[2](after))
        return [head(mean(x)) for head, x in zip(self.heads, [between, after, end])]


class LookBack(nn.Module):
    """The second exit reads the blocks before and after the second convolution."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Convolution(3, 6), Convolution(6, 6), Convolution(6, 6)])
        self.heads = nn.ModuleList(Head(channels, False) for channels in [6, 12, 6])

    def forward(self, x):
        first = torch.relu(self.layers[0](x))
        second = torch.relu(self.layers[1](first))
        third = torch.relu(self.layers[2](second))
        both = torch.cat([mean(first), mean(second)], 1)
        return self.heads[0](mean(first)), self.heads[1](both), self.heads[2](mean(third))


class Sequence(nn.Module):
    """Takes sequences of any length."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv1d(3, 4, 3, 1, 1), nn.Conv1d(4, 4, 3, 1, 1)])
        self.heads = nn.ModuleList(nn.Linear(4, CLASSES) for _ in range(2))

    def forward(self, x):
        first = torch.relu(self.layers[0](x))
        second = torch.relu(self.layers[1](first))
        return self.heads[0](first.mean(2)), self.heads[1](second.mean(2))


class OneExit(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.linear(torch.relu(x))


class Samples(CalibrationDataReader):
    def __init__(self, inputs):
        self.rest = iter(inputs)

    def get_next(self):
        sample = next(self.rest, None)
        return None if sample is None else {"image": sample[None]}


def build(network):
    torch.manual_seed(7)
    model = network()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def export(model, name, outputs, shape=SHAPE, axes=None, dtype=torch.float32):
    example = torch.zeros((1, *shape), dtype=dtype)
    torch.onnx.export(
        model.to(dtype),
        (example,),
        HERE / name,
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=outputs,
        dynamic_axes=axes,
    )
    return HERE / name


def reference(file, inputs, prefix):
    session = onnxruntime.InferenceSession(file)
    names = [output.name for output in session.get_outputs()]
    rows = [session.run(names, {"image": sample[None]}) for sample in inputs]
    return {f"{prefix}.{name}": np.concatenate([row[at] for row in rows]) for at, name in enumerate(names)}


def main():
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    inputs = np.random.default_rng(7).normal(size=(SAMPLES, *SHAPE)).astype(np.float32)
    batch = {name: {0: "batch"} for name in ["image", *EXITS]}

    branchy = export(build(Branchy), "branchy.onnx", EXITS, axes=batch)
    probabilities = export(build(lambda: Branchy(True)), "probabilities.onnx", EXITS)
    skip = export(build(LongSkip), "long-skip.onnx", ["first", "second", "third"])
    export(build(LookBack), "look-back.onnx", ["first", "both", "third"])
    export(build(Branchy), "half.onnx", EXITS, dtype=torch.float16)
    export(build(Sequence), "sequence.onnx", ["first", "second"], (3, 9), {"image": {0: "batch", 2: "length"}})
    export(build(OneExit), "one-exit.onnx", ["only"], (4,))
    quantize_static(branchy, HERE / "quantised.onnx", Samples(inputs), quant_format=QuantFormat.QDQ)
    # onnx refuses to overwrite it.
    (HERE / "external.weights").unlink(missing_ok=True)
    onnx.save_model(
        onnx.load(branchy),
        HERE / "external.onnx",
        save_as_external_data=True,
        location="external.weights",
        size_threshold=256,
    )
    outputs = {}
    for file, prefix in [(branchy, "branchy"), (probabilities, "probabilities"), (skip, "long-skip")]:
        outputs |= reference(file, inputs, prefix)
    save_file({"input": inputs, **outputs}, HERE / "reference.safetensors")


if __name__ == "__main__":
    main()
