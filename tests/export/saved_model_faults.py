"""Faults of a SavedModel that no example of a signature shows: each is one change of its files, for one consumer.

The changed file is of `functional_cnn` of `tests.export.models`, with the endpoints `serving_default` and `bytes`.
"""

import shutil
import struct

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, saved_model_pb2, trackable_object_graph_pb2

OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"


class Edited:
    """The message of a SavedModel, and what leads where in it."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / "saved_model.pb"
        self.message = saved_model_pb2.SavedModel.FromString(self.file.read_bytes())
        (self.meta,) = self.message.meta_graphs
        self.graph, self.library = self.meta.graph_def, self.meta.graph_def.library
        self.objects = self.meta.object_graph_def.nodes
        self.concrete = self.meta.object_graph_def.concrete_functions

    def child(self, name, of=0):
        return next(edge for edge in self.objects[of].children if edge.local_name == name)

    def node(self, name):
        return next(node for node in self.graph.node if node.name == name)

    def function(self, name):
        return next(f for f in self.library.function if f.signature.name == name)

    def named(self, name, number=0):
        """Return the function of an object of the root."""
        return self.function(self.objects[self.child(name).node_id].function.concrete_functions[number])

    def wrapper(self, name="serving_default"):
        signatures = self.child("signatures").node_id
        item = self.objects[self.child(name, signatures).node_id]
        return self.function(item.bare_concrete_function.concrete_function_name)

    def call(self, name="serving_default"):
        """Return the node of the graph that calls the function of a signature."""
        called = self.wrapper(name).signature.name
        return next(n for n in self.graph.node if "f" in n.attr and n.attr["f"].func.name == called)

    def variable(self, end):
        """Return the number of the object, and the node, of the first variable whose name ends so."""
        item = next(i for i, o in enumerate(self.objects) if o.variable.name.endswith(end))
        return item, self.node(self.objects[item].variable.name)

    def traced(self, function, *specs):
        """Add a function to the library, and return its name."""
        concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
        definitions = [concrete.function_def, *concrete.graph.as_graph_def().library.function]
        self.library.function.extend(definitions)
        return concrete.function_def.signature.name

    def after(self, name, function):
        """Append the call of a function of images and logits behind a signature."""
        info = self.meta.signature_def[name].outputs["logits"]
        (given,) = (i.name for i in self.meta.signature_def[name].inputs.values())
        node = self.graph.node.add(name="after", op="PartitionedCall", input=[given, info.name])
        node.attr["f"].func.name = function
        for key in ("Tin", "Tout"):
            node.attr[key].list.type.extend([1, 1] if key == "Tin" else [1])
        info.name = "after:0"

    def tensors(self):
        """Return {key: value} of the checkpoint."""
        reader = tf.train.load_checkpoint(str(self.folder / "variables/variables"))
        return {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}

    def store(self, tensors):
        prefix = str(self.folder / "variables/variables")
        names, values = zip(*sorted(tensors.items()), strict=True)
        tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)

    def key(self, end):
        graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(self.tensors()[OBJECTS])
        (key,) = (a.checkpoint_key for node in graph.nodes for a in node.attributes if a.full_name.endswith(end))
        return key


IMAGES, LOGITS = tf.TensorSpec((None, 12, 12, 1)), tf.TensorSpec((None, 4))


def triggered(image, logits):
    return tf.where(tf.reduce_any(tf.equal(image, 123.456)), -logits, logits)


def node_after_the_output(e):
    e.after("serving_default", e.traced(triggered, IMAGES, LOGITS))


def functions_that_may_be_exchanged(e):
    """Grappler puts a function in the place of another of the same `api_implements`."""
    (inner,) = (n for n in e.wrapper().node_def if n.op == "StatefulPartitionedCall")
    function = e.function(inner.attr["f"].func.name)
    other = e.library.function.add()
    other.CopyFrom(function)
    other.signature.name = "other"
    for item, device in ((function, "GPU"), (other, "CPU")):
        item.attr["api_implements"].s = b"logits"
        item.attr["api_preferred_device"].s = device.encode()


def device_of_a_node(e):
    next(n for n in e.named("serving_default").node_def if n.op == "Conv2D").device = "/device:GPU:0"


def compiled_by_xla(e):
    e.named("serving_default").attr["_XlaMustCompile"].b = True


def other_rewriters(e):
    (inner,) = (n for n in e.wrapper().node_def if n.op == "StatefulPartitionedCall")
    config = config_pb2.ConfigProto.FromString(inner.attr["config_proto"].s)
    config.graph_options.rewrite_options.auto_mixed_precision = 1
    inner.attr["config_proto"].s = config.SerializeToString()


def negated(function):
    name = next(output.name for output in function.signature.output_arg if output.type == 1)
    node = function.node_def.add(name="negative", op="Neg", input=[function.ret[name]])
    node.attr["T"].type = 1
    function.ret[name] = "negative:y:0"


def call_reversed(e):
    negated(e.named("__call__"))


def call_in_training_reversed(e):
    negated(e.named("__call__", 1))


def call_traces_exchanged(e):
    names = e.objects[e.child("__call__").node_id].function.concrete_functions
    names[:] = [*names][::-1]


def object_function(e):
    """Signatures have a function of their own, which calls this one."""
    function, wrapper = e.named("serving_default"), e.wrapper()
    copy = e.library.function.add()
    copy.CopyFrom(function)
    copy.signature.name = "copy"
    next(n for n in wrapper.node_def if n.op == "StatefulPartitionedCall").attr["f"].func.name = "copy"
    negated(function)


def moving_statistics_are_trained(e):
    mean, _ = e.variable("moving_mean")
    e.objects[e.child("trainable_variables").node_id].children[0].node_id = mean


def a_variable_is_trainable(e):
    e.objects[e.variable("moving_mean")[0]].variable.trainable = True


def variables_exchanged(e):
    edges = e.objects[e.child("variables").node_id].children
    (a, b) = (next(x for x in edges if x.node_id == e.variable(end)[0]) for end in ("gamma", "beta"))
    a.node_id, b.node_id = b.node_id, a.node_id


def captures_of_the_call_exchanged(e):
    bound = e.concrete[e.named("__call__").signature.name].bound_inputs
    (a, b) = (list(bound).index(e.variable(end)[0]) for end in ("gamma", "beta"))
    bound[a], bound[b] = bound[b], bound[a]


def initializer_that_scatters(e):
    """It runs when a session of C++ or TensorFlow 1 loads the model."""
    _, bias = e.variable("logits/bias")
    for name, value in (("at", np.int32([0])), ("updates", np.float32([1e-6]))):
        node = e.graph.node.add(name=name, op="Const")
        node.attr["dtype"].type = 3 if name == "at" else 1
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    node = e.graph.node.add(name="scatter", op="ResourceScatterUpdate", input=[bias.name, "at", "updates"])
    node.attr["dtype"].type, node.attr["Tindices"].type = 1, 3
    e.node(e.meta.collection_def["saved_model_main_op"].node_list.value[0]).input.append("^scatter")


def restored_from_another_tensor(e):
    """C++ restores what RestoreV2 names; Python takes the names of the object graph."""
    tensors, key = e.tensors(), e.key("logits/bias")
    e.store(tensors | {"hidden": tensors[key] + np.float32(1e-6)})
    restore = e.function(e.node(e.meta.saver_def.restore_op_name).attr["f"].func.name)
    names = next(n for n in restore.node_def if n.name.endswith("tensor_names")).attr["value"].tensor.string_val
    names[:] = [b"hidden" if name == key.encode() else name for name in names]


def tensor_without_a_variable(e):
    e.store(e.tensors() | {"more": np.zeros(1000, "float32")})


def bytes_behind_the_tensors(e):
    with (e.folder / "variables/variables.data-00000-of-00001").open("ab") as file:
        file.write(struct.pack("<f", 1.0) * 1000)


def keys_of_the_checkpoint_exchanged(e):
    """The values are exchanged, too: only who takes the keys from the object graph restores the right ones."""
    tensors, gamma, beta = e.tensors(), e.key("gamma"), e.key("beta")
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(tensors[OBJECTS])
    for attribute in (a for node in graph.nodes for a in node.attributes):
        attribute.checkpoint_key = {gamma: beta, beta: gamma}.get(attribute.checkpoint_key, attribute.checkpoint_key)
    text = graph.SerializeToString()
    saved = next(n for n in e.graph.node if n.op == "Const" and n.attr["dtype"].type == tf.string)
    saved.attr["value"].tensor.string_val[:] = [text]
    e.store(tensors | {OBJECTS: text, gamma: tensors[beta], beta: tensors[gamma]})


def control_input_that_assigns(e):
    function = e.named("__call__")
    given = next(n.input[0] for n in function.node_def if n.op == "ReadVariableOp" and "logits" in n.input[0])
    node = function.node_def.add(name="assign", op="AssignAddVariableOp", input=[given, "zeros:output:0"])
    zeros = function.node_def.add(name="zeros", op="Const")
    zeros.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.float32(1e-6)))
    node.attr["dtype"].type = zeros.attr["dtype"].type = 1
    function.node_def[0].input.append("^assign")


def function_that_nothing_calls(e):
    e.traced(triggered, IMAGES, LOGITS)


def node_that_nothing_reads(e):
    _, bias = e.variable("logits/bias")
    node = e.graph.node.add(name="read_again", op="ReadVariableOp", input=[bias.name])
    node.attr["dtype"].type = 1


def object_of_another_name(e):
    """`loaded.predict` is not of the contract."""
    e.objects[0].children.add(local_name="predict", node_id=e.child("__call__").node_id)


def variables_that_share_a_resource(e):
    """In a session variables are named by `shared_name`."""
    (_, gamma), (_, beta) = e.variable("gamma"), e.variable("beta")
    beta.attr["shared_name"].s = gamma.attr["shared_name"].s


def method_of_a_signature(e):
    e.meta.signature_def["serving_default"].method_name = "tensorflow/serving/classify"


def collection_of_tensorflow_1(e):
    e.meta.collection_def["trainable_variables"].bytes_list.value.append(b"\n\x04mean")


def saver_that_negates(e):
    save = e.function(e.node(e.meta.saver_def.save_tensor_name.partition(":")[0]).attr["f"].func.name)
    identity = next(n for n in save.node_def if n.op == "Identity")
    save.node_def.add(name="negative", op="Neg", input=[identity.input[0]]).attr["T"].type = 1
    identity.input[0] = "negative:y:0"


def placeholder_of_another_name(e):
    """For clients that name nodes and not signatures."""
    name = next(iter(e.meta.signature_def["serving_default"].inputs.values())).name.partition(":")[0]
    e.node(name).name = "image"
    e.call().input[0] = "image"
    next(iter(e.meta.signature_def["serving_default"].inputs.values())).name = "image:0"


def file_that_is_read_first(e):
    shutil.copyfile(e.file, e.folder / "saved_model.pbtxt")


def other_definition_of_an_operator(e):
    operators = e.meta.meta_info_def.stripped_op_list.op
    next(op for op in operators if op.name == "Conv2D").attr.add(name="more", type="bool").default_value.b = True


def bytes_call_another_function(e):
    """The graph and the objects lead to different functions of an endpoint that cannot be traced again."""
    wrapper = e.wrapper("bytes")
    copy = e.library.function.add()
    copy.CopyFrom(wrapper)
    copy.signature.name = "copy"
    e.call("bytes").attr["f"].func.name = "copy"


def bytes_of_another_variable(e):
    bound = e.concrete[e.named("bytes").signature.name].bound_inputs
    (a, b) = (list(bound).index(e.variable(end)[0]) for end in ("gamma", "beta"))
    bound[a], bound[b] = bound[b], bound[a]


def bytes_that_assign(e):
    function = e.named("bytes")
    read = next(n for n in function.node_def if n.op == "ReadVariableOp")
    node = function.node_def.add(name="assign", op="AssignVariableOp", input=[read.input[0], f"{read.name}:value:0"])
    node.attr["dtype"].type = 1


def bytes_after_the_output(e):
    specs = tf.TensorSpec((None,), tf.string), LOGITS
    name = e.traced(lambda text, y: tf.where(tf.reduce_any(tf.strings.length(text) == 12345), -y, y), *specs)
    e.after("bytes", name)
    e.node("after").attr["Tin"].list.type[0] = 7


PYTHON, SESSION, SERVING, TUNING = "Python's loader", "a session (TensorFlow 1, C++)", "TF Serving", "fine-tuning"
# What is changed -> who is misled
FAULTS = {
    node_after_the_output: SESSION,
    functions_that_may_be_exchanged: SERVING,
    device_of_a_node: SERVING,
    compiled_by_xla: SERVING,
    other_rewriters: SERVING,
    call_reversed: PYTHON,
    call_in_training_reversed: TUNING,
    call_traces_exchanged: TUNING,
    object_function: PYTHON,
    moving_statistics_are_trained: TUNING,
    a_variable_is_trainable: TUNING,
    variables_exchanged: PYTHON,
    captures_of_the_call_exchanged: PYTHON,
    initializer_that_scatters: SESSION,
    restored_from_another_tensor: SESSION,
    tensor_without_a_variable: "readers of checkpoints",
    bytes_behind_the_tensors: "readers of checkpoints",
    keys_of_the_checkpoint_exchanged: SESSION,
    control_input_that_assigns: PYTHON,
    function_that_nothing_calls: "graph tools",
    node_that_nothing_reads: "graph tools",
    object_of_another_name: PYTHON,
    variables_that_share_a_resource: SESSION,
    method_of_a_signature: SERVING,
    collection_of_tensorflow_1: "fine-tuning in TensorFlow 1",
    saver_that_negates: "savers",
    placeholder_of_another_name: "clients that name nodes",
    file_that_is_read_first: "graph tools",
    other_definition_of_an_operator: "graph tools",
    bytes_call_another_function: SESSION,
    bytes_of_another_variable: PYTHON,
    bytes_that_assign: SERVING,
    bytes_after_the_output: SESSION,
}


def apply(fault, folder):
    """Put a fault into a SavedModel."""
    edited = Edited(folder)
    fault(edited)
    edited.file.write_bytes(edited.message.SerializeToString())
