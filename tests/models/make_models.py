"""Makes the small networks of the system tests: `python make_models.py` (needs numpy and onnx) writes them beside itself.

trivial.onnx    784 values in, 10 logits out, one exit: what is left when inference costs next to nothing.
two-exits.onnx  784 values in, a cut of 4096 values, an exit before and behind it: something to overflow between.
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent


def save(name, nodes, weights, exits):
    batch = lambda tensor, size: helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["N", size])
    graph = helper.make_graph(
        nodes,
        name,
        [batch("input", 784)],
        [batch(tensor, 10) for tensor in exits],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, HERE / f"{name}.onnx")


def main():
    random = np.random.default_rng(1)
    weight = lambda rows, columns: random.normal(0, rows**-0.5, (rows, columns)).astype(np.float32)
    integers = lambda *values: np.array(values, np.int64)
    node = helper.make_node
    save("trivial", [node("MatMul", ["input", "w"], ["exit1"])], {"w": weight(784, 10)}, ["exit1"])
    # The cut repeats 16 values and the exits read the first of them, so that the file stays small.
    nodes = [
        node("MatMul", ["input", "w"], ["narrow"]),
        node("Tanh", ["narrow"], ["bounded"]),
        node("Tile", ["bounded", "repeats"], ["cut1"]),
        node("Slice", ["cut1", "from", "to", "axis"], ["first"]),
        node("MatMul", ["first", "head1"], ["exit1"]),
        node("Relu", ["cut1"], ["positive"]),
        node("Slice", ["positive", "from", "to", "axis"], ["second"]),
        node("MatMul", ["second", "head2"], ["exit2"]),
    ]
    weights = {
        "w": weight(784, 16),
        "repeats": integers(1, 256),
        "from": integers(0),
        "to": integers(16),
        "axis": integers(1),
        "head1": weight(16, 10),
        "head2": 3 * weight(16, 10),
    }
    save("two-exits", nodes, weights, ["exit1", "exit2"])


if __name__ == "__main__":
    main()
