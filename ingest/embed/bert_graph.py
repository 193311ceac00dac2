"""A BERT sentence encoder written as an ONNX graph straight from its safetensors weights.

The graph is fused from the start (ONNX Runtime's own Attention, SkipLayerNormalization and BiasGelu
operators), so neither PyTorch nor an exporter nor a graph optimiser is needed to run the built-in encoder.
Architecture: Devlin et al. 2018, https://arxiv.org/abs/1810.04805; mean pooling and unit length: Reimers
and Gurevych 2019, https://arxiv.org/abs/1908.10084.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAPH_VERSION = 1
_CONTRIB = "com.microsoft"


@dataclass(frozen=True, slots=True)
class BertShape:
    n_layers: int
    n_heads: int
    hidden: int
    epsilon: float


def write_bert_onnx(weights_file: Path, shape: BertShape, target: Path) -> None:
    """Writes ``target``: inputs ``input_ids`` and ``attention_mask``, int32 of shape (batch, length);
    output ``embedding``, float32 of shape (batch, hidden), rows of unit length.

    The weights go into one file beside it (``target`` + ``.weights``), which sessions map into memory.
    """
    import onnx
    from safetensors.numpy import load_file

    model = _model(load_file(weights_file), shape)
    onnx.save_model(
        model,
        str(target),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=target.name + ".weights",
        size_threshold=1024,
    )


def _model(weights: Mapping[str, NDArray[Any]], shape: BertShape) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    tensors: list[Any] = []

    def constant(name: str, value: NDArray[Any]) -> str:
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(name: str, *, transpose: bool = False) -> str:
        value = weights[name].astype(np.float32)
        return constant(name, value.T if transpose else value)

    def node(op: str, inputs: list[str], output: str, *, contrib: bool = False, **attributes: Any) -> str:
        domain = _CONTRIB if contrib else ""
        nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    # Segment ids are always 0, so their embedding is added to the positions once, here.
    positions = weights["embeddings.position_embeddings.weight"].astype(np.float32)
    positions = positions + weights["embeddings.token_type_embeddings.weight"][0].astype(np.float32)
    words = weight("embeddings.word_embeddings.weight")
    nodes.append(
        helper.make_node(
            "EmbedLayerNormalization",
            [
                "input_ids",
                "",
                words,
                constant("positions", positions),
                "",
                weight("embeddings.LayerNorm.weight"),
                weight("embeddings.LayerNorm.bias"),
                "attention_mask",
            ],
            ["embedded", "mask_index"],
            domain=_CONTRIB,
            epsilon=shape.epsilon,
        )
    )
    hidden = "embedded"
    for i in range(shape.n_layers):
        layer = f"encoder.layer.{i}."
        heads = [layer + f"attention.self.{part}." for part in ("query", "key", "value")]
        qkv = constant(layer + "qkv", np.concatenate([weights[h + "weight"].T for h in heads], axis=1))
        qkv_bias = constant(layer + "qkv_bias", np.concatenate([weights[h + "bias"] for h in heads]))
        context = node(
            "Attention",
            [hidden, qkv, qkv_bias, "attention_mask"],
            layer + "context",
            contrib=True,
            num_heads=shape.n_heads,
        )
        hidden = _dense_skip_norm(node, weight, context, hidden, layer + "attention.output", shape)
        inner = node(
            "MatMul", [hidden, weight(layer + "intermediate.dense.weight", transpose=True)], layer + "inner"
        )
        bias = weight(layer + "intermediate.dense.bias")
        active = node("BiasGelu", [inner, bias], layer + "active", contrib=True)
        hidden = _dense_skip_norm(node, weight, active, hidden, layer + "output", shape)

    mask = node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    axis = constant("last_axis", np.array([-1], dtype=np.int64))
    column = node("Unsqueeze", [mask, axis], "mask_column")
    masked = node("Mul", [hidden, column], "masked")
    # The mean's divisor cancels when the row is scaled to unit length, so the sum is enough.
    summed = node(
        "ReduceSum", [masked, constant("length_axis", np.array([1], dtype=np.int64))], "sum", keepdims=0
    )
    node("LpNormalization", [summed], "embedding", axis=-1, p=2)

    graph = helper.make_graph(
        nodes,
        "bert_sentence_encoder",
        [
            helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", "length"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", shape.hidden])],
        initializer=tensors,
    )
    return helper.make_model(
        graph,
        ir_version=9,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(_CONTRIB, 1)],
        producer_name="footnote",
    )


def _dense_skip_norm(node: Any, weight: Any, x: str, skip: str, prefix: str, shape: BertShape) -> str:
    product = node("MatMul", [x, weight(prefix + ".dense.weight", transpose=True)], prefix + ".product")
    result: str = node(
        "SkipLayerNormalization",
        [
            product,
            skip,
            weight(prefix + ".LayerNorm.weight"),
            weight(prefix + ".LayerNorm.bias"),
            weight(prefix + ".dense.bias"),
        ],
        prefix + ".normed",
        contrib=True,
        epsilon=shape.epsilon,
    )
    return result
