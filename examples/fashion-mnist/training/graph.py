"""From the trained network to an ONNX file with named exits and cuts, and what its parts cost."""

import io
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model import CLASSES, EXITS, EarlyExitNet, ResidualBlock

OPSET = 17
INPUT = "input"
INPUT_SHAPE = (1, 28, 28)
EXIT_NAMES = [f"exit{number}" for number in range(1, EXITS + 1)]
CUT_NAMES = [f"cut{number}" for number in range(1, EXITS)]
CLASS_NAMES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip
assert len(CLASS_NAMES) == CLASSES


def to_onnx(network: EarlyExitNet, properties: dict[str, str]) -> onnx.ModelProto:
    """`network` is changed: its batch norms go into the convolutions. The same weights give the same bytes."""
    model = exported(fused(network))
    model.producer_name, model.producer_version = "eenn-operator", ""
    keep_cuts_inside(model)
    for entity in [model.graph, *model.graph.node]:
        entity.doc_string = ""
    onnx.helper.set_model_props(model, dict(sorted(properties.items())))
    onnx.checker.check_model(model, full_check=True)
    return model


def fused(network: EarlyExitNet) -> EarlyExitNet:
    """Folding here and not in the exporter keeps the weights' names."""
    network.eval()
    fold(network.stem, "0", "1")
    for block in network.blocks:
        fold(block, "conv1", "norm1")
        fold(block, "conv2", "norm2")
        if isinstance(block, ResidualBlock) and len(block.shortcut):
            fold(block.shortcut, "0", "1")
    return network


def fold(module: torch.nn.Module, convolution: str, norm: str):
    setattr(module, convolution, fuse_conv_bn_eval(module.get_submodule(convolution), module.get_submodule(norm)))
    setattr(module, norm, torch.nn.Identity())


def exported(network: EarlyExitNet) -> onnx.ModelProto:
    # The exporter flattens (logits, cuts) in this order.
    names = [*EXIT_NAMES, *CUT_NAMES]
    target = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter with `dynamo=True` needs further packages and is not stable in its names yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (torch.zeros(1, *INPUT_SHAPE),),
            target,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=names,
            dynamic_axes={name: {0: "N"} for name in [INPUT, *names]},
        )
    return onnx.load_from_string(target.getvalue())


def keep_cuts_inside(model: onnx.ModelProto):
    """Cuts were outputs to get their names; what a client asks for is exits."""
    graph = model.graph
    for output in [output for output in graph.output if output.name in CUT_NAMES]:
        graph.value_info.append(output)
        graph.output.remove(output)


class Costs:
    """MACs and weights of the nodes that the exits 1..l need, counted in Conv and Gemm."""

    def __init__(self, model: onnx.ModelProto):
        self.graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
        self.weights = {weight.name: weight for weight in self.graph.initializer}
        self.makers = {output: node for node in self.graph.node for output in node.output}
        self.shapes = {
            value.name: [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
            for value in [*self.graph.input, *self.graph.value_info, *self.graph.output]
        }

    def up_to(self, tensors: list[str]) -> tuple[int, int]:
        """(MACs per sample, number of weights) of everything that `tensors` depend on."""
        nodes, weights = self.needed(tensors)
        sizes = [int(np.prod(self.weights[name].dims)) for name in weights]
        return sum(self.macs(node) for node in nodes), sum(sizes)

    def needed(self, tensors: list[str]) -> tuple[list, set[str]]:
        nodes, weights, seen, open_tensors = [], set(), set(), list(tensors)
        while open_tensors:
            tensor = open_tensors.pop()
            if tensor in self.weights:
                weights.add(tensor)
            node = self.makers.get(tensor)
            if node is not None and tensor not in seen:
                seen.add(tensor)
                nodes.append(node)
                open_tensors += node.input
        return nodes, weights

    def macs(self, node) -> int:
        if node.op_type not in ("Conv", "Gemm"):
            return 0
        per_position = int(np.prod(self.weights[node.input[1]].dims))
        positions = self.shapes[node.output[0]][2:] if node.op_type == "Conv" else []
        return per_position * int(np.prod(positions))

    def bytes_of(self, tensor: str) -> int:
        """Bytes of one sample of `tensor` in f32."""
        return 4 * int(np.prod(self.shapes[tensor]))


def session(model: onnx.ModelProto | bytes) -> onnxruntime.InferenceSession:
    """On one thread, so that the order of sums, and so every bit, is the same in each run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = model if isinstance(model, bytes) else model.SerializeToString(deterministic=True)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def check_cuts(model: onnx.ModelProto, images: np.ndarray, tolerance: float):
    """Two halves at each cut must say what the whole says; otherwise something bypasses the cut."""
    whole = session(model).run(EXIT_NAMES, {INPUT: images})
    extractor = onnx.utils.Extractor(model)
    for number, cut in enumerate(CUT_NAMES, start=1):
        front = session(extractor.extract_model([INPUT], [cut]))
        back = session(extractor.extract_model([cut], EXIT_NAMES[number:]))
        halves = back.run(None, {cut: front.run(None, {INPUT: images})[0]})
        worst = max(float(np.abs(a - b).max()) for a, b in zip(halves, whole[number:], strict=True))
        if not worst <= tolerance:
            raise SystemExit(f"split at {cut}, logits differ by {worst:.1e} from the whole: more than {tolerance:.0e}")


def check_f32(model: onnx.ModelProto):
    for weight in model.graph.initializer:
        if numpy_helper.to_array(weight).dtype not in (np.float32, np.int64):
            raise SystemExit(f"weight {weight.name} is not f32")
