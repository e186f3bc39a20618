"""The tower and projector of a shape as an ONNX graph of onnxruntime's own fused operators, with random weights.

tower.py SHAPE.json OUT writes OUT/tower.onnx with 32-bit weights and OUT/tower-q4.onnx with 4 bits in blocks of 32, activations as they
are. Inputs: the picture `pixels` [1, 3, height, width], and for its patches the angles of the two-dimensional rope, `cos` and `sin`
[patches, head_dim / 2]; `positions` [1, patches] counts them; `squares` [patches] lists them square by square. Output: `features`
[patches / merge^2, text hidden].
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

MICROSOFT = "com.microsoft"


class Graph:
    """Nodes in the order they are added; `add` returns the name of a node's first output."""

    def __init__(self) -> None:
        self.nodes, self.weights, self.random = [], [], np.random.default_rng(0)

    def add(self, operator: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes) -> str:
        name = f"{operator}_{len(self.nodes)}"
        outs = [name] + [f"{name}_{i}" for i in range(1, outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), outs, name, domain=domain, **attributes))
        return name

    def constant(self, values: np.ndarray) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def linear(self, x: str, into: int, out: int) -> str:
        weight = self.random.standard_normal((into, out), np.float32) * into**-0.5
        return self.add("MatMul", x, self.constant(weight))

    def norm(self, x: str, width: int, eps: float) -> str:
        return self.add("SimplifiedLayerNormalization", x, self.constant(np.ones(width, np.float32)), axis=-1, epsilon=eps, stash_type=1)


def layer(graph: Graph, x: str, vision: dict) -> str:
    hidden, inner, heads = vision["hidden_size"], vision["intermediate_size"], vision["num_attention_heads"]
    width, eps = heads * vision["head_dim"], vision["rms_norm_eps"]
    h = graph.norm(x, hidden, eps)  # [1, patches, hidden]
    q, k, v = (graph.linear(h, hidden, width) for _ in range(3))  # [1, patches, heads * head_dim]
    turn = {"domain": MICROSOFT, "num_heads": heads, "rotary_embedding_dim": 0}
    q, k = (graph.add("RotaryEmbedding", heads_of, "positions", "cos", "sin", **turn) for heads_of in (q, k))
    attended = graph.add("MultiHeadAttention", q, k, v, domain=MICROSOFT, num_heads=heads)
    x = graph.add("Add", x, graph.linear(attended, width, hidden))
    h = graph.norm(x, hidden, eps)
    gate, up = (graph.linear(h, hidden, inner) for _ in range(2))  # [1, patches, inner]
    gated = graph.add("Mul", graph.add("Mul", gate, graph.add("Sigmoid", gate)), up)
    return graph.add("Add", x, graph.linear(gated, inner, hidden))


def projector(graph: Graph, x: str, vision: dict, text: dict) -> str:
    hidden, out, square = vision["hidden_size"], text["hidden_size"], vision["spatial_merge_size"] ** 2
    flat = graph.add("Reshape", graph.norm(x, hidden, text["rms_norm_eps"]), graph.constant(np.array([-1, hidden])))
    ordered = graph.add("Gather", flat, "squares", axis=0)  # [patches, hidden]
    merged = graph.add("Reshape", ordered, graph.constant(np.array([-1, hidden * square])))  # [tokens, hidden * merge^2]
    narrow = graph.linear(merged, hidden * square, hidden)
    wide = graph.add("Gelu", graph.linear(narrow, hidden, out), domain=MICROSOFT)
    return graph.linear(wide, out, out)  # [tokens, text hidden]


def tower(vision: dict, text: dict) -> onnx.ModelProto:
    graph, hidden, patch = Graph(), vision["hidden_size"], vision["patch_size"]
    kernel = graph.random.standard_normal((hidden, 3, patch, patch), np.float32) * (3 * patch * patch) ** -0.5
    grid = graph.add("Conv", "pixels", graph.constant(kernel), kernel_shape=[patch] * 2, strides=[patch] * 2)  # [1, hidden, rows, cols]
    rows = graph.add("Reshape", grid, graph.constant(np.array([1, hidden, -1])))
    x = graph.norm(graph.add("Transpose", rows, perm=[0, 2, 1]), hidden, vision["rms_norm_eps"])  # [1, patches, hidden]
    for _ in range(vision["num_hidden_layers"]):
        x = layer(graph, x, vision)
    features = projector(graph, x, vision, text)
    graph.nodes.append(helper.make_node("Identity", [features], ["features"]))
    half = vision["head_dim"] // 2
    inputs = [
        helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, "height", "width"]),
        helper.make_tensor_value_info("cos", TensorProto.FLOAT, ["patches", half]),
        helper.make_tensor_value_info("sin", TensorProto.FLOAT, ["patches", half]),
        helper.make_tensor_value_info("positions", TensorProto.INT64, [1, "patches"]),
        helper.make_tensor_value_info("squares", TensorProto.INT64, ["patches"]),
    ]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["tokens", text["hidden_size"]])]
    versions = [helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1)]
    built = helper.make_graph(graph.nodes, "tower", inputs, outputs, graph.weights)
    return helper.make_model(built, opset_imports=versions, ir_version=10)


def main(shape: str, out: str) -> None:
    config = json.loads(Path(shape).read_text())
    model = tower(config["vision"], config["text"])
    Path(out).mkdir(parents=True, exist_ok=True)
    onnx.save(model, Path(out, "tower.onnx"))
    quantizer = MatMulNBitsQuantizer(model, bits=4, block_size=32, is_symmetric=True, accuracy_level=1)
    quantizer.process()
    onnx.save(quantizer.model.model, Path(out, "tower-q4.onnx"))


if __name__ == "__main__":
    main(*sys.argv[1:])
