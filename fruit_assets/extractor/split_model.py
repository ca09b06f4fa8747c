"""A network in two parts, each to be run on as many images at once as suits it.

Put here where a network is taken apart. Its first layers make several times what a core's cache holds of a single
image, and are the slower the more images they see at once. Its last layers make little, but read most of the weights
again for every batch. Nothing is calculated otherwise: the features are the same to the last bit.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openvino as ov

# Of MobileNetV2 at 224: 14 x 14 pixels of 64 channels, a ninetieth of what its second block makes.
_SHRUNK_BY = 16
# Pixels come as (n, height, width, channels), and so does what is handed over; inside, channels come second.
_TO_HANDED, _TO_INSIDE = [0, 2, 3, 1], [0, 3, 1, 2]


def halves(model: "ov.Model", first_batch: int) -> "tuple[ov.Model, ov.Model] | None":
    """The model as two, the second of which takes float32 (n, height, width, channels) of the first, for any n.

    Args:
        model: from pixels (n, size, size, 3) to features; it stays as it is.
        first_batch: images at once of the first part.

    Returns:
        None where there is no narrow place between blocks at a sixteenth of the pixels.
    """
    import openvino as ov
    from openvino import opset13 as operations

    first, second = model.clone(), model.clone()
    for part in (first, second):
        part.reshape([first_batch, *list(part.input().partial_shape)[1:]])
    handed_over, taken = _bottleneck(first), _bottleneck(second)
    if handed_over is None or taken is None:
        return None
    given = operations.result(operations.transpose(handed_over, _TO_HANDED).output(0))
    _, channels, height, width = taken.get_shape()
    users = list(taken.get_target_inputs())
    parameter = operations.parameter([first_batch, height, width, channels], ov.Type.f32)
    inside = operations.transpose(parameter, _TO_INSIDE).output(0)
    for user in users:
        user.replace_source_output(inside)
    second = ov.Model(second.get_results(), [parameter])
    second.reshape([-1, height, width, channels])
    return ov.Model([given], first.get_parameters()), second


def _bottleneck(model: "ov.Model") -> Any:
    """The first of the narrowest outputs between blocks at a sixteenth of the pixels; None where there is none."""
    height = model.input().shape[1] // _SHRUNK_BY
    # The output of a block is a sum: of a convolution and its bias, or of that and what went into the block.
    sums = [output for output in _cut_points(model) if output.get_node().get_type_name() == "Add"]
    between = [
        output
        for output in sums
        if output.partial_shape.is_static and len(output.shape) == 4 and output.shape[2] == height
    ]
    return min(between, key=lambda output: output.shape[1], default=None)


def _cut_points(model: "ov.Model") -> Iterator[Any]:
    """The outputs, in order, that all that comes later depends on alone."""
    waiting: dict[str, int] = {}
    fixed: set[str] = set()
    for node in model.get_ordered_ops():
        name = node.get_name()
        sources = [value.get_node().get_name() for value in node.input_values()]
        if node.get_type_name() != "Parameter" and fixed.issuperset(sources):
            fixed.add(name)
            continue
        for source in sources:
            if source not in fixed:
                waiting[source] -= 1
                if not waiting[source]:
                    del waiting[source]
        outputs = node.outputs()
        waiting[name] = sum(len(output.get_target_inputs()) for output in outputs)
        if len(waiting) == 1 and len(outputs) == 1:
            yield outputs[0]
