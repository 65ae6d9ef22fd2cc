"""Look into a .tflite file without TensorFlow: named metadata, and whether its parts hang together.

The interpreter trusts a file: one that names a tensor or a buffer which is not there ends the
process. What is cheap to check is checked here; `points2objects.trial` tries the rest.
"""

from collections.abc import Sequence

from points2objects.errors import BundleError
from points2objects.flatbuffer import Flatbuffer, Table

SPEC_METADATA = "points2objects_spec"
"""Name under which a converted model carries its spec."""

# Field numbers in the TFLite schema.
_MODEL_OPERATOR_CODES, _MODEL_SUBGRAPHS, _MODEL_BUFFERS = 1, 2, 4
_MODEL_METADATA, _MODEL_SIGNATURES = 6, 7
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_BUFFER_DATA, _BUFFER_OFFSET = 0, 1
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_OPERATORS = 0, 1, 2, 3
_TENSOR_SHAPE, _TENSOR_BUFFER, _TENSOR_VARIABLE = 0, 2, 5
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS = 0, 1, 2
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_GRAPH = 0, 1, 4
_MAP_TENSOR = 1

_LEFT_OUT = -1
"""Index of an optional input that an operator does without."""


def read_metadata(model: bytes, name: str) -> bytes | None:
    """Return the metadata buffer of that name, or None when the model has none.

    Raises:
        BundleError: The bytes are not a whole TFLite model.
    """
    try:
        root = _root(model)
        for entry in root.tables(_MODEL_METADATA):
            same_length = entry.size(_METADATA_NAME) == len(name.encode())
            if same_length and entry.content(_METADATA_NAME) == name.encode():
                buffers = root.tables(_MODEL_BUFFERS)
                index = entry.number(_METADATA_BUFFER)
                if index >= len(buffers):
                    raise ValueError("metadata in a buffer that is not there")
                return buffers[index].content(_BUFFER_DATA)
    except ValueError as error:
        raise _damaged(error) from error
    return None


def check_structure(model: bytes) -> None:
    """Check that everything which a model names by its index is there.

    Raises:
        BundleError: It is not a TFLite model, or names what it does not hold.
    """
    try:
        root = _root(model)
        codes, buffers = len(root.tables(_MODEL_OPERATOR_CODES)), root.tables(_MODEL_BUFFERS)
        filled = [bool(b.size(_BUFFER_DATA) or b.number(_BUFFER_OFFSET)) for b in buffers]
        graphs = root.tables(_MODEL_SUBGRAPHS)
        if not graphs:
            raise ValueError("it has no graph")
        sizes = [_check_graph(graph, codes, filled) for graph in graphs]
        for signature in root.tables(_MODEL_SIGNATURES):
            graph = signature.number(_SIGNATURE_GRAPH)
            _check_index("a signature's graph", graph, len(graphs))
            for side in (_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS):
                for entry in signature.tables(side):
                    _check_index("a signature's tensor", entry.number(_MAP_TENSOR), sizes[graph])
    except ValueError as error:
        raise _damaged(error) from error


def _check_graph(graph: Table, codes: int, filled: Sequence[bool]) -> int:
    """Check one graph; return how many tensors it has.

    Args:
        graph: The graph.
        codes: How many kinds of operators the model has.
        filled: Of each of its buffers, whether it holds anything.
    """
    tensors = graph.tables(_GRAPH_TENSORS)
    given = {i for i, tensor in enumerate(tensors) if _is_given(tensor, filled)}
    made = set(graph.numbers(_GRAPH_INPUTS))
    for index in made:
        _check_index("an input", index, len(tensors))
    for operator in graph.tables(_GRAPH_OPERATORS):
        _check_index("an operator's code", operator.number(_OPERATOR_CODE), codes)
        for index in operator.numbers(_OPERATOR_INPUTS):
            if index != _LEFT_OUT:
                _check_index("an operator's input", index, len(tensors))
                if index not in given and index not in made:
                    raise ValueError(f"an operator reads tensor {index} before it is made")
        for index in operator.numbers(_OPERATOR_OUTPUTS):
            _check_index("an operator's output", index, len(tensors))
            if index in made or (index in given and not tensors[index].flag(_TENSOR_VARIABLE)):
                raise ValueError(f"an operator writes tensor {index}, which is there already")
            made.add(index)
    for index in graph.numbers(_GRAPH_OUTPUTS):
        _check_index("an output", index, len(tensors))
    return len(tensors)


def _is_given(tensor: Table, filled: Sequence[bool]) -> bool:
    """Tell whether a tensor is there before the graph runs: constant, variable, or of size 0."""
    buffer, shape = tensor.number(_TENSOR_BUFFER), tensor.numbers(_TENSOR_SHAPE)
    _check_index("a tensor's buffer", buffer, len(filled))
    if min(shape, default=0) < 0:
        raise ValueError("a tensor of negative size")
    return filled[buffer] or tensor.flag(_TENSOR_VARIABLE) or 0 in shape


def _check_index(what: str, index: int, count: int) -> None:
    if not 0 <= index < count:
        raise ValueError(f"{what} is number {index} of {count}")


def _root(model: bytes) -> Table:
    if model[4:8] != b"TFL3":
        raise BundleError("model.tflite: not a TFLite model; convert the checkpoint again")
    return Flatbuffer(model).root()


def _damaged(error: ValueError) -> BundleError:
    return BundleError(f"model.tflite: truncated or damaged ({error}); copy or convert it again")
