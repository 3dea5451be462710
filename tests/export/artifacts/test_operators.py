"""The list of inference operators agrees with TensorFlow's own definitions."""

import pytest

from export.formats.graph_reader import ALLOWED, READING, allowed_operators
from export.runtime.backend import load_tensorflow

# Attributes that are strings of any value, and why they reach nothing
HARMLESS = {
    "container": "a name within the process",
    "shared_name": "a name within the process",
    "debug_name": "a name within the process",
    "frame_name": "a name within the graph",
    "stack_name": "a name within the graph",
    "tensor_array_name": "a name within the graph",
    "var_name": "a name within the graph",
    "source": "a name within the graph",
    "allowed_devices": "names of devices",
    "config": "options of a call",
    "config_proto": "options of a call",
    "executor_type": "options of a call",
    "message": "a text of an error",
    "equation": "the formula of Einsum",
    "pattern": "a regular expression",
    "rewrite": "a regular expression",
    "template": "a text",
    "placeholder": "a text",
    "separator": "a text",
    "left_pad": "a text",
    "right_pad": "a text",
    "fill": "a text",
    "xmp_metadata": "a text in an image file",
    "input_encoding": "a name of an encoding",
    "encoding": "a name of an encoding",
    "format": "a name of an encoding",
    "dct_method": "a name of an algorithm",
    "compression_type": "a name of an algorithm",
    "padding": "a name of an algorithm",
    "interpolation": "a name of an algorithm",
    "fill_mode": "a name of an algorithm",
    "kernel_type": "a name of an algorithm",
    "noise": "a name of an algorithm",
    "reduce_type": "a name of an algorithm",
    "input_quant_mode": "a name of an algorithm",
    "bad_indices_policy": "a name of an algorithm",
    "set_operation": "a name of an algorithm",
    "data_format": "an order of dimensions",
    "src_format": "an order of dimensions",
    "dst_format": "an order of dimensions",
    "input_order": "an order of dimensions",
    "dimension_numbers": "an order of dimensions",
    "row_partition_types": "kinds of a ragged tensor",
    "feature_list_dense_missing_assumed_empty": "keys of an Example message",
    "context_sparse_keys": "keys of an Example message",
    "context_dense_keys": "keys of an Example message",
    "feature_list_sparse_keys": "keys of an Example message",
    "feature_list_dense_keys": "keys of an Example message",
    "sparse_keys": "keys of an Example message",
    "dense_keys": "keys of an Example message",
}
RNG = (  # draw numbers without an attribute `seed`: their state is a resource, or there is none
    *("NonDeterministicInts", "RngReadAndSkip", "RngSkip", "StatefulRandomBinomial", "StatefulStandardNormal"),
    *("StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulUniform", "StatefulUniformFullInt"),
    "StatefulUniformInt",
)


@pytest.fixture(scope="module")
def registry():
    load_tensorflow()
    from tensorflow.python.framework import op_def_registry

    return op_def_registry


def test_each_operator_is_marked_as_it_is_defined(registry):
    """The marks are those of the definitions, whatever the names: no pattern decides what is stateful."""
    wrong = {}
    for name, kind in allowed_operators().items():
        definition = registry.get(name)
        assert definition is not None, f"TensorFlow has no operator {name}"
        draws = name in RNG or "seed" in {a.name for a in definition.attr}
        expected = ("random" if draws else "stateful") if definition.is_stateful else ""
        if kind != expected:
            wrong[name] = (kind, expected)
    assert wrong == {}
    assert {name for name, kind in allowed_operators().items() if kind == "stateful"} >= READING


def test_no_operator_has_an_attribute_that_may_name_a_file(registry):
    """Strings with listed values, or of a name above; `memory_region_name` and `mlir_module` are of neither kind."""
    unknown = {
        (name, a.name)
        for name in allowed_operators()
        for a in registry.get(name).attr
        if a.type in ("string", "list(string)") and not a.HasField("allowed_values") and a.name not in HARMLESS
    }
    assert unknown == set()
    used = {a.name for name in allowed_operators() for a in registry.get(name).attr}
    assert HARMLESS.keys() <= used, "an attribute of the list above that no operator has"


@pytest.mark.parametrize("name", ["ImmutableConst", "MlirPassthroughOp", "SaveV2", "ReadFile", "CustomAggregator"])
def test_what_reaches_more_than_tensors_is_off_the_list(registry, name):
    assert registry.get(name) is not None
    assert name not in allowed_operators()


def test_the_list_is_sorted_and_holds_each_once():
    lines = [line for line in ALLOWED.read_text().splitlines() if not line.startswith("#")]
    assert lines == sorted(set(lines), key=lambda line: line.split()[0])
