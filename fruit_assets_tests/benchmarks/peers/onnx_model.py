"""The exported OpenVINO model as ONNX, operation by operation, and its int8 model by ONNX Runtime's own tools.

Put here the conversion. It runs alone, as `python -m ... MODEL --calibration PIXELS`, before anything is measured.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import openvino as ov

_OPSET, _IR = 21, 10
_INPUT, _OUTPUT = "pixels", "features"


def onnx_file(model: Path, precision: str) -> Path:
    """The path of the ONNX model of an exported model."""
    return model.with_name(f"onnx-{precision}.onnx")


def converted(model: "ov.Model") -> "onnx.ModelProto":
    """The same operations with the same constants; any number of images at once.

    Raises:
        KeyError: the model has an operation that is not translated here.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []
    for operation in model.get_ordered_ops():
        kind, name = operation.get_type_name(), operation.get_friendly_name()
        if kind == "Constant":
            constants.append(numpy_helper.from_array(_values(operation), name))
            continue
        if kind not in ("Parameter", "Result"):
            inputs = [source.get_source_output().get_node() for source in operation.inputs()]
            names = [_INPUT if node.get_type_name() == "Parameter" else node.get_friendly_name() for node in inputs]
            nodes += list(_TRANSLATIONS[kind](operation, names, name))
    [result] = model.get_results()
    nodes.append(helper.make_node("Identity", [result.input_value(0).get_node().get_friendly_name()], [_OUTPUT]))
    used = {name for node in nodes for name in node.input}
    height, width, colours = [dimension.get_length() for dimension in list(model.input().partial_shape)[1:]]
    count = model.output().partial_shape[1].get_length()
    graph = helper.make_graph(
        nodes,
        "extractor",
        [helper.make_tensor_value_info(_INPUT, TensorProto.UINT8, ["n", height, width, colours])],
        [helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, ["n", count])],
        [*(each for each in constants if each.name in used), *_reshaped_kernels(model)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)


def _values(constant: Any) -> "np.ndarray":
    values: np.ndarray = constant.get_data()
    # Such as axes, which ONNX requires as 64 bits.
    return values.astype("int64") if values.dtype == "int32" else values


def _reshaped_kernels(model: "ov.Model") -> "list[onnx.TensorProto]":
    """Kernels of depthwise convolutions, in which OpenVINO has an extra dimension for the groups."""
    from onnx import numpy_helper

    made = []
    for operation in model.get_ordered_ops():
        if operation.get_type_name() == "GroupConvolution":
            kernel = _values(operation.input_value(1).get_node())
            made.append(numpy_helper.from_array(kernel.reshape(-1, *kernel.shape[2:]), _kernel(operation)))
    return made


def _kernel(operation: Any) -> str:
    return f"{operation.get_friendly_name()}/kernel"


Nodes: TypeAlias = "Iterator[onnx.NodeProto]"


def _plain(kind: str, **fixed: Any) -> Callable[[Any, list[str], str], Nodes]:
    def translate(operation: Any, inputs: list[str], name: str) -> Nodes:
        from onnx import helper

        yield helper.make_node(kind, inputs, [name], **fixed)

    return translate


def _convolution(operation: Any, inputs: list[str], name: str) -> Nodes:
    from onnx import helper

    attributes = operation.get_attributes()
    grouped = operation.get_type_name() == "GroupConvolution"
    yield helper.make_node(
        "Conv",
        [inputs[0], _kernel(operation) if grouped else inputs[1]],
        [name],
        strides=attributes["strides"],
        dilations=attributes["dilations"],
        pads=[*attributes["pads_begin"], *attributes["pads_end"]],
        group=operation.input_value(1).get_shape()[0] if grouped else 1,
    )


def _clamp(operation: Any, inputs: list[str], name: str) -> Nodes:
    from onnx import helper

    attributes = operation.get_attributes()
    bounds = []
    for side in ("min", "max"):
        bounds.append(f"{name}/{side}")
        value = helper.make_tensor(bounds[-1], 1, [], [attributes[side]])
        yield helper.make_node("Constant", [], [bounds[-1]], value=value)
    yield helper.make_node("Clip", [inputs[0], *bounds], [name])


def _transpose(operation: Any, inputs: list[str], name: str) -> Nodes:
    from onnx import helper

    order = _values(operation.input_value(1).get_node()).tolist()
    yield helper.make_node("Transpose", inputs[:1], [name], perm=order)


_TRANSLATIONS: Mapping[str, Callable[[Any, list[str], str], Nodes]] = {
    "Convert": _plain("Cast", to=1),
    "Multiply": _plain("Mul"),
    "Add": _plain("Add"),
    "Transpose": _transpose,
    "Convolution": _convolution,
    "GroupConvolution": _convolution,
    "Clamp": _clamp,
    "ReduceMean": _plain("ReduceMean", keepdims=0),
}


def quantize(model: Path, pixels: "np.ndarray") -> None:
    """Write the int8 model: static, QDQ, per channel, as ONNX Runtime's documentation advises for convolutions."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            self._images = iter(pixels)

        def get_next(self) -> "dict[str, np.ndarray] | None":
            image = next(self._images, None)
            return None if image is None else {_INPUT: image[None]}

    prepared = model.with_name("onnx-prepared.onnx")
    quant_pre_process(onnx_file(model, "f32"), prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        onnx_file(model, "int8"),
        Reader(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv", "Add", "Clip"],
    )


def main(arguments: Sequence[str]) -> int:
    import numpy as np
    import onnx
    import openvino as ov

    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibration", type=Path, help="pixels as .npy; without, no int8 model is made")
    given = parser.parse_args(arguments)
    made = converted(ov.Core().read_model(given.model))
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, onnx_file(given.model, "f32"))
    if given.calibration:
        quantize(given.model, np.load(given.calibration))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
