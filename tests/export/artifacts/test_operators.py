"""The list of inference operators agrees with TensorFlow's own definitions."""

import pytest
from tensorflow.python.framework import op_def_registry

from export.formats.graph_reader import ALLOWED, allowed_operators

HARMLESS = {  # what a string of any value is -> attributes that hold it
    "a name within the process": "container shared_name debug_name",
    "a name within the graph": "frame_name stack_name tensor_array_name var_name source",
    "names of devices": "allowed_devices",
    "options of a call": "config config_proto executor_type",
    "a text of an error": "message",
    "the formula of Einsum": "equation",
    "a regular expression": "pattern rewrite",
    "a text": "template placeholder separator left_pad right_pad fill",
    "a text in an image file": "xmp_metadata",
    "a name of an encoding": "input_encoding encoding format",
    "a name of an algorithm": (
        "dct_method compression_type padding interpolation fill_mode kernel_type noise reduce_type "
        "input_quant_mode bad_indices_policy set_operation "
    ),
    "an order of dimensions": "data_format src_format dst_format input_order dimension_numbers",
    "kinds of a ragged tensor": "row_partition_types",
    "keys of an Example message": (
        "feature_list_dense_missing_assumed_empty context_sparse_keys context_dense_keys feature_list_sparse_keys "
        "feature_list_dense_keys sparse_keys dense_keys "
    ),
}
NAMES = {name for names in HARMLESS.values() for name in names.split()}
RNG = (  # draw numbers without an attribute `seed`: their state is a resource, or there is none
    *("NonDeterministicInts", "RngReadAndSkip", "RngSkip", "StatefulRandomBinomial", "StatefulStandardNormal"),
    *("StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulUniform", "StatefulUniformFullInt"),
    "StatefulUniformInt",
)


@pytest.fixture(scope="module")
def registry():
    return op_def_registry


def test_each_operator_is_marked_as_it_is_defined(registry):
    """The marks are those of the definitions, whatever the names: no pattern decides what is stateful."""
    wrong = {}
    for name, kind in allowed_operators().items():
        definition = registry.get(name)
        assert definition is not None, f"TensorFlow has no operator {name}"
        draws = name in RNG or "seed" in {a.name for a in definition.attr}
        expected = (("random",) if draws else ("stateful", "reading")) if definition.is_stateful else ("",)
        if kind not in expected:
            wrong[name] = (kind, expected)
    assert wrong == {}


def test_no_operator_has_an_attribute_that_may_name_a_file(registry):
    """Strings with listed values, or of a name above; `memory_region_name` and `mlir_module` are of neither kind."""
    unknown = {
        (name, a.name)
        for name in allowed_operators()
        for a in registry.get(name).attr
        if a.type in ("string", "list(string)") and not a.HasField("allowed_values") and a.name not in NAMES
    }
    assert unknown == set()
    used = {a.name for name in allowed_operators() for a in registry.get(name).attr}
    assert used >= NAMES, "an attribute of the list above that no operator has"


def test_the_list_holds_none_that_reaches_more_than_tensors(registry):
    reaching = """
        CSVDataset CSVDatasetV2 CacheDataset CacheDatasetV2 CopyHost CustomAggregator DataServiceDatasetV4
        DatasetToTFRecord DebugIdentity DebugIdentityV2 DebugNanCount DebugNumericSummaryV2 DecodeProtoV2 EagerPyFunc
        EncodeProto FileSystemSetConfiguration FixedLengthRecordDataset GenerateVocabRemapping ImmutableConst
        InitializeTableFromTextFile InitializeTableFromTextFileV2 IteratorV2 LMDBReader LoadAndRemapMatrix
        MatchingFiles MergeV2Checkpoints MlirPassthroughOp ModelDataset PrintV2 PyFunc ReadFile RecordInput
        RegisterDatasetV2 RestoreV2 RpcCall RpcClient SaveV2 SnapshotDatasetV2 SqlDataset TFRecordDataset
        TextLineDataset WriteFile WriteSummary
    """
    assert allowed_operators().keys().isdisjoint(reaching.split())
    assert all(map(registry.get, ("CustomAggregator", "ImmutableConst", "MlirPassthroughOp", "ReadFile", "SaveV2")))
    useful = "Conv2D MatMul LookupTableFindV2 StatefulPartitionedCall DecodeJpeg"
    assert allowed_operators().keys() >= {*useful.split()}


def test_the_list_is_sorted_and_holds_each_once():
    lines = [line for line in ALLOWED.read_text().splitlines() if not line.startswith("#")]
    assert lines == sorted(set(lines), key=lambda line: line.split()[0])
