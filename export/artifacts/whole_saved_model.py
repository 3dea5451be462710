"""A SavedModel without names: all of its fields in a form in which two exports of one model are equal.

What may differ between them is made canonical: the names of nodes, functions and resources become numbers in the order
in which they are reached; debug information and the sizes of the machine that traced are left out. Everything else
counts, whoever reads it: each field of each node, function, signature and object, each tensor of the checkpoint, and
the list of files.
"""

import re
import types
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from export.formats import graph_reader

ADDRESSES = "_all_variables"  # what the endpoints use, which Keras lists in the order of addresses in memory
OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
APART = ("fingerprint.pb", "assets.extra")  # hashes of the file for logs; requests, which are replayed
SEED = "seed_generator_state"
OF_MACHINE = ("device_count", "intra_op_parallelism_threads", "inter_op_parallelism_threads", "gpu_options")
RESOURCE = 20  # DT_RESOURCE of types.proto
NUMBER = re.compile(r"(_|^)\d+$")
Part = list[tuple[str, bytes]]  # [(what is there, all of its fields)]


class _Numbers(dict[Any, int]):
    """Names -> numbers in the order in which they are asked for."""

    def __missing__(self, name: Any) -> int:
        self[name] = len(self)
        return self[name]


class SavedModel:
    """A SavedModel without names."""

    def __init__(self, folder: Path, not_carried: Collection[str]) -> None:
        import tensorflow as tf
        from tensorflow.core.protobuf import saved_model_pb2

        message = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        (self.meta,) = message.meta_graphs
        self.folder = folder
        self.reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        self._not_carried = not_carried
        self._tracked = _objects(self.reader.get_tensor(OBJECTS))
        self.objects, self.concrete = self.meta.object_graph_def.nodes, self.meta.object_graph_def.concrete_functions
        self.root = {edge.local_name: edge.node_id for edge in self.objects[0].children}
        self.parts: dict[str, Part] = {}  # by place, all that is compared but the checkpoint
        self._library = {f.signature.name: f for f in self.meta.graph_def.library.function}
        self._registered = self.meta.graph_def.library.registered_gradients
        self._gradients = {g.registered_op_type.encode(): g.gradient_func for g in self._registered}
        self._differentiated = set[bytes]()  # operators that have one of these gradients
        self._nodes = {node.name: f"n{i}" for i, node in enumerate(self.meta.graph_def.node)}
        self._ids, self._functions, self._resources = _Numbers(), _Numbers(), _Numbers()
        self._pending: deque[tuple[str, str]] = deque()  # functions that were reached, and from where
        self._read_objects()
        self._read_graph()
        self._read_functions()
        self._read_rest(message)

    def functions_of(self, name: str) -> list[str]:
        """Return the functions of an endpoint."""
        return [*self.objects[self.root[name]].function.concrete_functions] if name in self.root else []

    def is_stateful(self, function: str) -> bool:
        """Return whether a function acts, or reads what another may change."""
        return self._library[function].signature.is_stateful

    def node(self, name: str) -> Any:
        """Return a node of the graph."""
        return next(node for node in self.meta.graph_def.node if node.name == name)

    def listed(self, name: str) -> list[int]:
        """Return the objects in a list of the root."""
        return [edge.node_id for edge in self.objects[self.root[name]].children] if name in self.root else []

    def key(self, index: int) -> str:
        """Return the name of the value of a variable in the checkpoint."""
        return self._tracked.nodes[index].attributes[0].checkpoint_key

    def writes(self) -> Iterator[str]:
        """Yield the operators that change a resource, or name one, in functions that cannot be compared."""
        from tensorflow.python.framework import op_def_registry

        for function in self.uncompared.values():
            for node in function.node_def:
                definition = op_def_registry.get(node.op)
                takes = definition is not None and any(a.type == RESOURCE for a in definition.input_arg)
                if "shared_name" in node.attr or (
                    takes and definition.is_stateful and graph_reader.allowed_operators().get(node.op) != "reading"
                ):
                    yield f"its {function.signature.name}, which is not compared, holds {node.op}"

    # === Objects ===

    def _read_objects(self) -> None:
        places, last = {0: ""}, self.root.get(ADDRESSES)
        self._ids[0]
        gradients = (self.concrete[name] for name in self._gradients.values() if name in self.concrete)
        captured = {index for gradient in gradients for index in gradient.bound_inputs}
        # read with the functions
        done = {i for i in captured if self.objects[i].WhichOneof("kind") == "captured_tensor"}
        while pending := [i for i in places if i not in done and i != last] or [i for i in places if i not in done]:
            for index in pending:
                done.add(index)
                for name, edge in self._edges(index):
                    self._ids[edge]
                    places.setdefault(edge, f"{places[index]}/{name}" if places[index] else name)
                self.parts[f"object {places[index] or 'of the root'}"] = [self._object(index, places[index])]
        for index in sorted({*range(len(self.objects))} - done):
            self.parts[f"object {index}, to which nothing leads"] = [self._object(index, f"{index}")]

    def _edges(self, index: int) -> list[tuple[str, int]]:
        """Return (name, object) of what an object leads to, in a canonical order."""
        item = self.objects[index]
        edges = [(edge.local_name, edge.node_id) for edge in item.children]
        edges += [(f"{edge.local_name} that it depends on", edge.node_id) for edge in item.dependencies]
        for name, saveable in item.saveable_objects.items():
            edges += [(f"{name} saved", saveable.save_function), (f"{name} restored", saveable.restore_function)]
        for name in self._called_by(item):
            edges += [(f"capture {i:6}", bound) for i, bound in enumerate(self.concrete[name].bound_inputs)]
        if index == self.root.get(ADDRESSES):
            return [("", edge) for _, edge in sorted(edges, key=lambda e: self._ids[e[1]])]
        return sorted(edges, key=lambda e: (e[0] == ADDRESSES, e[0]))

    @staticmethod
    def _called_by(item: Any) -> list[str]:
        names = [*item.function.concrete_functions, item.bare_concrete_function.concrete_function_name]
        return [name for name in names if name]

    def _object(self, index: int, place: str) -> tuple[str, bytes]:
        item = _without(self.objects[index], "children", "dependencies", "saveable_objects")  # which the edges are
        kind = item.WhichOneof("kind") or "object"
        functions = self._called_by(item)
        fields: list[Any] = [[(name, self._ids[edge]) for name, edge in self._edges(index)]]
        fields += [_bytes(_without(self.concrete[name], "bound_inputs")) for name in functions]
        if kind == "function":
            item.function.concrete_functions[:] = [self._function(name, place) for name in functions]
        elif kind == "bare_concrete_function":
            item.bare_concrete_function.concrete_function_name = self._function(*functions, place)
        elif kind == "variable":
            item.variable.name = _last(item.variable.name)
        elif kind == "constant":
            item.constant.operation = self._nodes[item.constant.operation]
        if index < len(self._tracked.nodes):
            tracked = self._tracked.nodes[index]  # what the checkpoint says, and whether it leads to the same objects
            edges, others = ([(e.local_name, e.node_id) for e in o.children] for o in (tracked, self.objects[index]))
            fields.append([edges == others, _bytes(_without(tracked, "children"))])
        return kind, repr([*fields, _bytes(item)]).encode()

    # === Graph and functions ===

    def _read_graph(self) -> None:
        graph = self.meta.graph_def
        nodes = [self._node(node, self._nodes, "the graph") for node in graph.node]
        self.parts["the graph"] = [
            (op, text + node.name.encode() if op == "Placeholder" else text)
            for node, (op, text) in zip(graph.node, nodes, strict=True)
        ]

    def _function(self, name: str, place: str) -> str:
        """Return the number of a function, which is read later."""
        if name in self._library and name not in self._functions:
            self._pending.append((name, place))
        return f"function {self._functions[name]}"

    def _read_functions(self) -> None:
        not_carried = {function for name in self._not_carried for function in self.functions_of(name)}
        while self._pending:
            name, place = self._pending.popleft()
            function = self._library[name]
            types = [
                [a.type for a in arguments]
                for arguments in (function.signature.input_arg, function.signature.output_arg)
            ]
            part: Part = [("function", repr([types, function.signature.is_stateful]).encode())]
            self.parts[f"{place}, function {self._functions[name]}"] = (
                part if name in not_carried else part + self._body(function, place)
            )
        rest = self._library.keys() - self._functions.keys()
        self.uncompared = {name: self._library[name] for name in self._closure(not_carried) & rest | not_carried}
        for name in sorted(rest - self.uncompared.keys()):
            self.parts[f"{name}, which nothing calls"] = [("function", b"")]

    def _closure(self, names: Collection[str]) -> set[str]:
        reached, pending = set[str](), list(names)
        while pending:
            if (name := pending.pop()) in self._library and name not in reached:
                reached.add(name)
                pending += [called for node in self._library[name].node_def for called in graph_reader.callees(node)]
        return reached

    def _body(self, function: Any, place: str) -> Part:
        header, signature = _without(function, "node_def", "ret", "control_ret"), function.signature
        names = {node.name: f"n{i}" for i, node in enumerate(function.node_def)}
        names |= {argument.name: f"in{i}" for i, argument in enumerate(signature.input_arg)}
        results = [_renamed(function.ret[argument.name], names) for argument in signature.output_arg]
        acting = {name: names[node] for name, node in function.control_ret.items()}
        fields = [results, len(function.ret), sorted(acting.values())]
        fields.append(sorted(acting[name] for name in signature.control_output))
        if function.signature.name in self._gradients.values():
            concrete = self.concrete[function.signature.name]
            fields.append([*map(self._captured, concrete.bound_inputs), _bytes(_without(concrete, "bound_inputs"))])
        header.signature.ClearField("control_output")
        header.signature.name = ""
        for argument in (*header.signature.input_arg, *header.signature.output_arg):
            argument.name = ""
        for attributes in header.arg_attr.values():
            self._attributes(attributes.attr, names, place)
        self._attributes(header.attr, names, place)
        nodes = [self._node(node, names, place) for node in function.node_def]
        return [("results", repr([*fields, _bytes(header)]).encode()), *nodes]

    def _captured(self, index: int) -> Any:
        """Return what a gradient captures: a tensor of the function that it belongs to, or an object."""
        item = self.objects[index].captured_tensor
        if not item.concrete_function:
            return self._ids[index]
        nodes = [n.name for n in self._library[item.concrete_function].node_def]
        name = item.name.partition(":")[0]
        place = nodes.index(name) if name in nodes else name
        return self._function(item.concrete_function, "a gradient"), place, item.name.partition(":")[2]

    def _node(self, node: Any, names: Mapping[str, str], place: str) -> tuple[str, bytes]:
        item = _without(node, "experimental_debug_info")
        item.name = names[node.name]
        if node.op in self._library:
            item.op = self._function(node.op, place)
        inputs = [_renamed(tensor, names) for tensor in node.input]
        controls = sorted(tensor for tensor in inputs if tensor.startswith("^"))
        item.input[:] = [tensor for tensor in inputs if not tensor.startswith("^")] + controls
        self._attributes(item.attr, names, place)
        return node.op, _bytes(item)

    def _attributes(self, attributes: Any, names: Mapping[str, str], place: str) -> None:
        from tensorflow.core.protobuf import config_pb2

        for name, value in attributes.items():
            for function in (*value.list.func, *([value.func] if value.func.name else [])):
                function.name = self._function(function.name, place)
                self._attributes(function.attr, names, place)
            if name == "_class":
                places = [text.decode().removeprefix("loc:@") for text in value.list.s]
                value.list.s[:] = [names.get(p, self._nodes.get(p, p)).encode() for p in places]
            elif name == "_gradient_op_type" and value.s in self._gradients:
                self._differentiated.add(value.s)
                value.s = self._function(self._gradients[value.s], f"gradient of {place}").encode()
            elif name == "shared_name" and value.s:
                value.s = f"resource {self._resources[value.s]}".encode()
            elif name in ("debug_name", "_user_specified_name"):
                value.s = _last(value.s.decode()).encode()
            elif name == "value" and [*map(_objects, value.tensor.string_val[:2])] == [self._tracked]:
                value.tensor.string_val[:] = [OBJECTS.encode()]  # what the saver writes is what the checkpoint holds
            elif name == "config_proto":
                value.s = _bytes(_without(config_pb2.ConfigProto.FromString(value.s), *OF_MACHINE))

    # === The rest ===

    def _read_rest(self, message: Any) -> None:
        from tensorflow.python.framework import op_def_registry

        rest = _without(message)
        (meta,) = rest.meta_graphs
        for signature in meta.signature_def.values():
            for infos in (signature.inputs, signature.outputs):
                for info in infos.values():
                    info.name = _renamed(info.name, self._nodes)
        for asset in meta.asset_file_def:
            asset.tensor_info.name = _renamed(asset.tensor_info.name, self._nodes)
        for name in ("filename_tensor_name", "save_tensor_name", "restore_op_name"):
            setattr(meta.saver_def, name, _renamed(getattr(meta.saver_def, name), self._nodes))
        for collection in meta.collection_def.values():
            collection.node_list.value[:] = [_renamed(value, self._nodes) for value in collection.node_list.value]
        for name, signature in meta.signature_def.items():
            self.parts[f"signature {name}"] = [("signature", _bytes(signature))]
        operators = meta.meta_info_def.stripped_op_list.op
        defined = [op for op in operators if _definition(op) != _definition(op_def_registry.get(op.name))]
        self.parts["the definitions of operators"] = [(op.name, _bytes(op)) for op in defined]
        unused = [g for g in self._registered if g.registered_op_type.encode() not in self._differentiated]
        library = _without(meta.graph_def.library, "function", "registered_gradients")
        library.registered_gradients.extend(unused)
        graph = _without(meta.graph_def, "node", "library", "debug_info")
        for field in ("signature_def", "object_graph_def", "graph_def"):
            meta.ClearField(field)
        meta.meta_info_def.ClearField("stripped_op_list")
        counts = f"{len(self.concrete)} {len(self._tracked.nodes)}".encode()
        for name, fields in {
            "library": library,
            "rest of the graph": graph,
            "saver, initialiser, asset or version": rest,
            "object graph": _without(self.meta.object_graph_def, "nodes", "concrete_functions"),
            "object graph of the checkpoint": _without(self._tracked, "nodes"),
        }.items():
            self.parts[f"the {name}"] = [(name, _bytes(fields))]
        self.parts["the objects"] = [("number of functions or objects", counts)]
        files = sorted(p for p in self.folder.rglob("*") if p.relative_to(self.folder).parts[0] not in APART)
        for file in files:
            name = file.relative_to(self.folder).as_posix()
            content = file.read_bytes() if name.startswith("assets/") and file.is_file() else b""
            self.parts[f"file {name}"] = [("file", content)]

    def differences(self, theirs: Self) -> Iterator[str]:
        """Yield clauses about what another SavedModel holds in place of this one, which the model writes."""
        for place in sorted(
            self.parts.keys() | theirs.parts.keys(), key=lambda name: (name.startswith("object"), name)
        ):
            one, other = self.parts.get(place), theirs.parts.get(place)
            if one is None or other is None:
                yield f"{place} is {'missing' if other is None else 'not of the model'}"
            elif one != other:
                yield f"{place}: {_difference(one, other)}"


def _difference(one: Part, other: Part) -> str:
    counts = [Counter(kind for kind, _ in part) for part in (one, other)]
    if further := sorted(counts[1] - counts[0]):
        return f"it also has {', '.join(further[:5])}"
    if missing := sorted(counts[0] - counts[1]):
        return f"it has no {', '.join(missing[:5])}"
    kind, found = next((a[0], b[0]) for a, b in zip(one, other, strict=True) if a != b)
    return f"it has {found} where the model has {kind}" if kind != found else f"another {kind}"


def _without(message: Any, *fields: str) -> Any:
    """Return a copy of a message without some of its fields."""
    copied = type(message)()
    copied.CopyFrom(message)
    for field in fields:
        copied.ClearField(field)
    return copied


def _bytes(message: Any) -> bytes:
    return message.SerializeToString(deterministic=True)


def _definition(operator: Any) -> bytes | None:
    """Return the definition of an operator without its documentation; None if there is none."""
    if operator is None:
        return None
    bare = _without(operator, "summary", "description")
    for item in (*bare.input_arg, *bare.output_arg, *bare.attr):
        item.ClearField("description")
    return _bytes(bare)


def _renamed(tensor: str, names: Mapping[str, str]) -> str:
    """Return "^node", "node", "node:1" or "node:output:1" with the number of the node."""
    head, separator, rest = tensor.removeprefix("^").partition(":")
    return f"{'^' * tensor.startswith('^')}{names.get(head, head)}{separator}{rest}"


def _last(name: str) -> str:
    """Return the end of the name of a variable without its number: models and layers are named by their order."""
    return NUMBER.sub("", name.rstrip("/").rpartition("/")[2])


def _objects(text: bytes) -> Any:
    """Return the object graph of a checkpoint without names of layers, or None if it is another string."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    try:
        graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(text)
    except DecodeError:
        return None
    for attribute in (a for node in graph.nodes for a in node.attributes):
        attribute.full_name = _last(attribute.full_name)
    return graph


# === The checkpoint ===


WITHOUT_LAYERS = types.SimpleNamespace(variables=[], _flatten_layers=list)  # for a SavedModel without its Keras model


def checkpoint_differences(ours: SavedModel, theirs: SavedModel, model: Any) -> Iterator[str]:
    """Yield clauses about tensors that are not those of the model."""
    readers = ours.reader, theirs.reader
    keys, others = ({*reader.get_variable_to_shape_map()} - {OBJECTS} for reader in readers)
    yield from (f"its checkpoint does not hold {key}" for key in sorted(keys - others))
    of_model = {f"variables/{i}/.ATTRIBUTES/VARIABLE_VALUE": v for i, v in enumerate(model.variables)}
    exempt = {key for key, variable in of_model.items() if variable.path.endswith(SEED)}  # drawn anew without a seed
    if keys == others:
        yield from _merged_differences(model, of_model, readers, exempt)
    size = _stored(theirs.reader.get_tensor(OBJECTS))
    for key in sorted(others):
        value = np.asarray(theirs.reader.get_tensor(key))
        size += _stored(value)
        if key not in keys:
            yield f"its checkpoint holds {key}, which the model does not have"
        elif not _is_equal(np.asarray(ours.reader.get_tensor(key)), value, key in exempt):
            yield f"its variable {of_model[key].path if key in of_model else key} has another value"
    data = (theirs.folder / "variables" / "variables.data-00000-of-00001").stat().st_size
    if data != size:
        yield f"its checkpoint has {data:,} bytes, its tensors {size:,}"


def _is_equal(one: np.ndarray, other: np.ndarray, of_any_value: bool) -> bool:
    if one.shape != other.shape or one.dtype.kind != other.dtype.kind or one.itemsize != other.itemsize:
        return False
    equal = one.tolist() == other.tolist() if one.dtype.kind in "OS" else one.tobytes() == other.tobytes()
    return equal or of_any_value


def _stored(value: Any) -> int:
    """Return how many bytes a checkpoint stores for a tensor: of strings also the lengths, and a checksum of these."""
    array = np.asarray(value)
    if array.dtype.kind not in "OS":
        return array.nbytes
    lengths = [len(text) for text in ([value] if isinstance(value, bytes) else array.reshape(-1).tolist())]
    return sum(lengths) + sum(max(1, -(-n.bit_length() // 7)) for n in lengths) + 4


def _merged_differences(
    model: Any, of_model: Mapping[str, Any], readers: Sequence[Any], merged: set[str]
) -> Iterator[str]:
    """Yield layers with LoRA whose kernel, merged with its factors as Keras saves it, differs; add their variables."""
    keys = {id(variable): key for key, variable in of_model.items()}
    for layer in model._flatten_layers():
        if not getattr(layer, "lora_enabled", False):
            continue
        stores: tuple[dict[str, Any], dict[str, Any]] = {}, {}
        own = [(keys[id(variable)], variable) for variable in layer.variables]
        for store, reader in zip(stores, readers, strict=True):
            for key, variable in own:
                variable.assign(reader.get_tensor(key))
            layer.save_own_variables(store)
        merged.update(key for key, _ in own)
        arrays = [[np.asarray(value) for value in store.values()] for store in stores]
        # they were merged with the kernels of another machine; an integer may be rounded to the next one
        steps = [1.0 if a.dtype.kind in "iu" else 1e-6 * np.abs(a).max(initial=0) for a in arrays[0]]
        if any(np.abs(a - b.astype(float)).max(initial=0) > s for a, b, s in zip(*arrays, steps, strict=True)):
            yield f"its layer {layer.name} with LoRA has other weights"
