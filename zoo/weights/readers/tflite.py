"""Reads the constants of a TFLite file, without the interpreter and without its operators."""

import struct
from pathlib import Path

import numpy as np

from zoobase.errors import ZooError

_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 9: "i1"}


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the constants of the first subgraph by name."""
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.Model.GetRootAs(path.read_bytes())
        graph, constants = model.Subgraphs(0), {}
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            if (content := model.Buffers(tensor.Buffer())).DataLength():
                shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
                values = content.DataAsNumpy().tobytes()
                constants[tensor.Name().decode()] = np.frombuffer(values, _DTYPES[tensor.Type()]).reshape(shape)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        raise ZooError(f"{path} is not a TFLite file of plain values: {' '.join(str(error).split())[:200]}") from error
    return constants
