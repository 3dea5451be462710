"""What loaders of a SavedModel run besides its signatures: other graphs, savers, initialisers, bound inputs, links.

Each attack is a real file that acts when TensorFlow loads it, and is refused before it is loaded.
"""

import os

import keras
import pytest
from tensorflow.core.protobuf import saved_model_pb2

import export
from export.artifacts import check_trusted, describe
from export.runtime.backend import load_tensorflow
from tests.export.bundle.test_gate import saved_model
from zoobase.errors import CheckFailed, ExportError

tf = load_tensorflow()


@pytest.fixture
def model(tmp_path):
    """A clean SavedModel with a variable, and a function that changes its protocol buffer."""
    folder = saved_model(tmp_path / "model", lambda m, x: x * m.scale, scale=lambda: tf.Variable(2.0))
    assert describe(folder).risks == []
    return changing(folder)


def changing(folder):
    def change(edit):
        message = saved_model_pb2.SavedModel()
        message.ParseFromString((folder / "saved_model.pb").read_bytes())
        edit(message)
        (folder / "saved_model.pb").write_bytes(message.SerializeToString())
        return folder

    return change


def refused(folder, match):
    description = describe(folder)
    with pytest.raises(CheckFailed, match=match):
        check_trusted(description, ())
    return description


def constant(graph, name, text):
    node = graph.node.add(name=name, op="Const")
    node.attr["dtype"].type = 7
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(text))
    return name


def test_a_second_graph_is_refused(model):
    """C++ takes the graph whose tags are exactly those asked for, the check took the first that has them."""

    def edit(message):
        other = message.meta_graphs.add()
        other.CopyFrom(message.meta_graphs[0])
        message.meta_graphs[0].meta_info_def.tags.append("other")
        file = constant(other.graph_def, "file", b"/etc/hostname")
        other.graph_def.node.add(name="read", op="ReadFile", input=[file])

    description = refused(model(edit), "is refused")
    assert "it has 2 graphs, with the tags other+serve, serve: loaders choose by tags" in description.risks
    assert "ReadFile" in description.unlisted  # what is described is what is loaded


def test_a_graph_whose_tags_are_more_than_serve_is_not_one_for_serving(model):
    folder = model(lambda message: message.meta_graphs[0].meta_info_def.tags.append("gpu"))
    with pytest.raises(ExportError, match=r"no graph with the tag serve \(it has gpu\+serve\)"):
        describe(folder)


def saving(graph, prefix):
    """Add a SaveV2 of a constant, with the given prefix."""
    names, slices = constant(graph, "names", [b"x"]), constant(graph, "slices", [b""])
    value = constant(graph, "value", b"v")
    node = graph.node.add(name="write", op="SaveV2", input=[prefix, names, slices, value])
    node.attr["dtypes"].list.type.append(7)
    return node.name


def own_name(meta, folder):
    return constant(meta.graph_def, "prefix", os.fsencode(folder / "written"))


def name_of_the_loader(meta, folder):
    return meta.saver_def.filename_tensor_name.partition(":")[0]


@pytest.mark.parametrize(
    ("prefix", "place"),
    [
        *((own_name, place) for place in ("save_tensor_name", "restore_op_name", "main_op")),
        (name_of_the_loader, "restore_op_name"),  # writing belongs to saving
    ],
)
def test_a_saver_that_writes_elsewhere_or_while_it_restores_is_refused(model, tmp_path, prefix, place):
    """SaveV2 was exempt wherever the saver reaches it; its prefix was not looked at."""

    def edit(message):
        meta = message.meta_graphs[0]
        name = saving(meta.graph_def, prefix(meta, tmp_path))
        if place == "restore_op_name":  # what the restore operator waits for runs while the model is loaded
            restore = meta.saver_def.restore_op_name
            next(n for n in meta.graph_def.node if n.name == restore).input.append(f"^{name}")
            return
        if place == "main_op":
            meta.collection_def["saved_model_main_op"].node_list.value.append(name)
        meta.saver_def.save_tensor_name = f"{name}:0"

    refused(model(edit), "SaveV2, not on the list")
    assert not list(tmp_path.glob("written*"))


def test_folders_are_not_deleted_by_a_merge_of_checkpoints(model, tmp_path):
    """MergeV2Checkpoints(delete_old_dirs=True) deletes the folders of its prefixes."""

    def edit(message):
        meta = message.meta_graphs[0]
        graph = meta.graph_def
        prefixes = constant(graph, "prefixes", [os.fsencode(tmp_path / "precious/x")])
        target = constant(graph, "target", os.fsencode(tmp_path / "merged"))
        node = graph.node.add(name="merge", op="MergeV2Checkpoints", input=[prefixes, target])
        node.attr["delete_old_dirs"].b = True
        meta.collection_def["saved_model_main_op"].node_list.value.append("merge")
        meta.saver_def.save_tensor_name = "merge"

    refused(model(edit), "MergeV2Checkpoints, SaveV2, not on the list")


@pytest.mark.parametrize("part", [b"/../../elsewhere", b"_temp/part"])
def test_a_part_of_a_file_name_stays_below_it(model, part):
    """The saver of TensorFlow appends `_temp/part` to the name that it is given."""

    def edit(message):
        meta = message.meta_graphs[0]
        saver = meta.saver_def
        file, end = (name.partition(":")[0] for name in (saver.filename_tensor_name, saver.save_tensor_name))
        inputs = [file, constant(meta.graph_def, "part", part)]
        meta.graph_def.node.add(name="join", op="StringJoin", input=inputs).attr["N"].i = 2
        name = saving(meta.graph_def, "join")
        next(n for n in meta.graph_def.node if n.name == end).input.append(f"^{name}")

    assert describe(model(edit)).unlisted == (["SaveV2"] if b".." in part else [])


@pytest.mark.parametrize("op", ["ImmutableConst", "MlirPassthroughOp"])
def test_operators_that_map_files_or_run_other_programs_are_refused(model, op):
    refused(model(lambda message: message.meta_graphs[0].graph_def.node.add(name="x", op=op)), f"{op}, not on the list")


@pytest.fixture
def with_table(tmp_path):
    """A SavedModel with a table of an asset, and a function that changes its protocol buffer."""
    (tmp_path / "words.txt").write_text("a\nb\n")

    def table():
        index, words = tf.lookup.TextFileIndex, str(tmp_path / "words.txt")
        reader = tf.lookup.TextFileInitializer(words, tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER)
        return tf.lookup.StaticHashTable(reader, -1)

    folder = saved_model(tmp_path / "table", lambda m, x: m.table.lookup(x), "string", (None,), table=table)
    assert describe(folder).risks == []
    return folder, changing(folder)


def elsewhere_in_the_graph(meta):
    asset = meta.asset_file_def[0].tensor_info.name.partition(":")[0]
    node = next(node for node in meta.graph_def.node if node.name == asset)
    node.op = "Const"
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(b"/etc/hostname"))
    del meta.asset_file_def[:]


def elsewhere_in_the_objects(meta):
    """`tf.saved_model.load` takes the file from `bound_inputs` of the object graph, not from the graph."""
    objects = meta.object_graph_def
    (asset,) = [i for i, node in enumerate(objects.nodes) if node.WhichOneof("kind") == "asset"]
    constant(meta.graph_def, "elsewhere", b"/etc/hostname")
    objects.nodes.add().constant.operation = "elsewhere"
    for function in objects.concrete_functions.values():
        for i, bound in enumerate(function.bound_inputs):
            if bound == asset:
                function.bound_inputs[i] = len(objects.nodes) - 1


def two_assets_of_one_tensor(meta):
    """The second hid the first."""
    meta.asset_file_def.add().CopyFrom(meta.asset_file_def[0])
    meta.asset_file_def[0].filename = "../../secret"


NO_ASSET = "graph reads a table from a file that is not among its assets"


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda meta: setattr(meta.asset_file_def[0], "filename", "../../secret"), "lies outside its folder"),
        (two_assets_of_one_tensor, r"its asset \.\./\.\./secret lies outside its folder"),
        (elsewhere_in_the_graph, NO_ASSET),
        (elsewhere_in_the_objects, "reads a table from a file that is not among its assets"),
    ],
)
def test_a_table_comes_from_the_assets_of_the_artifact_only(with_table, edit, match):
    folder, change = with_table
    change(lambda message: edit(message.meta_graphs[0]))
    refused(folder, match)


def test_an_asset_is_no_link(with_table, tmp_path):
    folder, _ = with_table
    (asset,) = (folder / "assets").iterdir()
    (tmp_path / "secret").write_text("s")
    asset.unlink()
    asset.symlink_to(tmp_path / "secret")
    refused(folder, "its words.txt is a symbolic link")


def test_a_clean_model_of_keras_with_tables_and_variables_needs_no_trust(tmp_path):
    text = keras.Input((1,), dtype="string", name="text")
    x = keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=4)(text)
    x = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(5, 3)(x)))
    bundle = export.export_model(keras.Model(text, x), tmp_path / "bundle", formats=("saved_model",))
    assert describe(bundle.path / "saved_model/1").risks == []
