"""Comparison of any two artifacts, also of third parties; pairs of tensors by name, dtype and shape, value."""

import json

import numpy as np
import pytest

from export import compare
from export.artifacts import describe
from export.artifacts.calling import ThirdPartyTensor
from export.artifacts.matching import Pair, by_value, match, plain
from export.runtime.backend import load_tensorflow
from pipelines.sources import packages
from tests.export.test_cli import run
from tests.plugins.tiers import first
from zoobase.errors import CheckFailed, ExportError, SourceUnavailable

tf = load_tensorflow()


def strip_signatures(path, out):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    model.signatureDefs = None
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    out.write_bytes(builder.Output())
    return out


@pytest.fixture(scope="session")
def third_party(tmp_path_factory):
    """Return a folder of SavedModels and TFLite files that were not exported by us."""
    folder = tmp_path_factory.mktemp("third_party")
    kernels = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")

    def write(name, names=("mean", "spread"), scale=1.0, inputs=("x", "y")):
        class Net(tf.Module):
            def __init__(self):
                super().__init__()
                self.kernels = tf.Variable(kernels * scale)

            @tf.function(input_signature=[tf.TensorSpec((None, 5), tf.float32, n) for n in inputs])
            def serve(self, x, y):
                return {names[0]: x @ self.kernels[0], names[1]: (x - 2 * y) @ self.kernels[1]}

        net = Net()
        tf.saved_model.save(net, folder / name, signatures=net.serve)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / name))
        (folder / f"{name}.tflite").write_bytes(converter.convert())

    write("plain")
    write("swapped", names=("spread", "mean"))
    write("other_names", names=("output_0", "output_1"), inputs=("b", "a"))
    write("off", scale=1.001)
    strip_signatures(folder / "plain.tflite", folder / "unsigned.tflite")
    return folder


@pytest.fixture(scope="session")
def save(tmp_path_factory):
    """Return a function that saves a SavedModel of TensorFlow functions, {signature: function of one input}."""
    folder = tmp_path_factory.mktemp("functions")

    def traced(function, module, dtype, shape):
        return tf.function(lambda x: function(x, module), input_signature=[tf.TensorSpec(shape, dtype, "x")])

    def write(name, dtype="float32", shape=(None, 5), **functions):
        module = tf.Module()
        module.count = tf.Variable(0.0)
        module.functions = {key: traced(function, module, dtype, shape) for key, function in functions.items()}
        tf.saved_model.save(module, folder / name, signatures=dict(module.functions))
        return folder / name

    return write


def pairs(result, kind="outputs"):
    return {p["reference"]: (p["candidate"], p["how"]) for p in result.endpoints[0][kind]}


def test_swapped_outputs_of_one_shape_are_exchanged(third_party):
    result = compare(third_party / "plain.tflite", third_party / "swapped.tflite")
    assert (result.verdict, result.exit_code, len(result.findings)) == ("exchanged", 1, 2)
    assert result.findings[0] == "serving_default: mean is what the candidate returns as spread"
    assert pairs(result) == {"mean": ("spread", "value"), "spread": ("mean", "value")}
    assert "output mean of the reference is spread of the candidate (by value)" in result.notes


def test_generic_names(third_party):
    """Inputs and outputs share dtype and shape: only values can match them."""
    result = compare(third_party / "plain.tflite", third_party / "other_names.tflite")
    assert (result.verdict, result.findings) == ("same, renamed", [])
    assert pairs(result) == {"mean": ("output_0", "value"), "spread": ("output_1", "value")}
    assert pairs(result, "inputs") == {"x": ("b", "value"), "y": ("a", "value")}


def test_a_file_without_signatures(third_party):
    description = describe(third_party / "unsigned.tflite")
    assert [s.name for s in description.signatures] == [""]
    result = compare(third_party / "plain.tflite", third_party / "unsigned.tflite")
    assert (result.verdict, result.findings) == ("same, renamed", [])
    assert compare(third_party / "unsigned.tflite", third_party / "unsigned.tflite").verdict == "same"


def test_another_model(third_party):
    result = compare(third_party / "plain.tflite", third_party / "off.tflite")
    assert (result.verdict, result.exit_code) == ("different", 1)
    assert "serving_default: mean in case batch_7 differs by" in result.findings[0]
    assert pairs(result) == {"mean": ("mean", "name"), "spread": ("spread", "name")}


def test_a_stated_tolerance(third_party):
    """The weights of one are larger by a thousandth."""
    files = third_party / "plain.tflite", third_party / "off.tflite"
    result = compare(*files, tolerance=0.01)
    assert (result.verdict, result.findings, result.to_json()["tolerance"]) == ("same", [], 0.01)
    assert compare(*files, tolerance=1e-4).verdict == "different"
    with pytest.raises(ExportError, match="a tolerance of 0 is not between 0 and 1"):
        compare(*files, tolerance=0)


@pytest.mark.parametrize("kind", first(["real", "string"]))
def test_equal_constants_are_no_evidence(save, kind, tmp_path):
    """The two differ only above 1000, where generated inputs do not reach."""

    def constant(x, rest):
        y = tf.where(tf.reduce_sum(x, 1) > 5000, rest * tf.reduce_sum(x, 1), 0)
        return {"y": y if kind == "real" else tf.strings.as_string(y)}

    one = save(f"{kind}_one", serving_default=lambda x, _: constant(x, 1.0))
    two = save(f"{kind}_two", serving_default=lambda x, _: constant(x, 2.0))
    result = compare(one, two)
    assert (result.verdict, result.exit_code) == ("undecided", 3)
    assert "give --samples FILE.npz with inputs (x)" in result.findings[0]
    if kind == "real":
        varying = save(f"{kind}_varying", serving_default=lambda x, _: constant(x + 5000, 2.0))
        assert compare(one, varying).verdict == "different"
        samples = {"x": np.random.default_rng(0).uniform(1500, 2000, (8, 5)).astype("float32")}
        assert compare(one, one, samples=samples).verdict == "same"
        assert compare(one, two, samples=samples).verdict == "different"


@pytest.mark.extended
def test_more_inputs_are_drawn_before_equal_constants_are_undecided(save):
    one, two = (
        save(f"levels_{n}", serving_default=lambda x, _, n=n: {"y": tf.nn.relu(tf.reduce_mean(x, 1) - 50) * n})
        for n in (1.0, 2.0)
    )
    assert compare(one, one).verdict == "same"
    assert compare(one, two).verdict == "different"


def test_signatures_that_are_missing_or_renamed(save):
    def encode(x, _):
        return {"y": x + 1}

    def predict(x, _):
        return {"y": 3 * x}

    reference = save("two_signatures", serving_default=predict, encode=encode)
    missing = save("one_signature", serving_default=predict)
    result = compare(reference, missing)
    assert (result.verdict, result.exit_code) == ("incomplete", 1)
    assert result.findings == ["the candidate has no signature encode of the reference"]
    result = compare(missing, reference)
    assert (result.verdict, result.notes) == ("same", ["the candidate also has signature encode"])
    assert compare(reference, save("renamed", serving_default=predict, encoder=encode)).verdict == "same, renamed"
    wrong = compare(reference, save("renamed_wrong", serving_default=predict, encoder=lambda x, _: {"y": x + 2}))
    assert (wrong.verdict, wrong.exit_code) == ("different", 1)


def test_a_candidate_that_answers_a_second_call_otherwise(save):
    """It adds one to its answer in the second call only, which repeats the first one."""

    def second_call(x, module):
        return {"y": x + tf.where(module.count.assign_add(1.0) == 2.0, 1.0, 0.0)}

    result = compare(
        save("stateless", serving_default=lambda x, _: {"y": x + 0.0}), save("counter", serving_default=second_call)
    )
    assert (result.verdict, result.exit_code) == ("not repeatable", 1)
    assert result.findings[0].startswith(
        "serving_default: the candidate: two identical calls differ: y in case batch_7"
    )


@pytest.mark.extended
def test_an_error_of_both_is_no_difference(save):
    """The first raises for values above 50, which the extremes reach."""

    def checked(x, _):
        with tf.control_dependencies([tf.debugging.assert_less(x, 50.0)]):
            return {"y": 2 * x}

    raising, other = save("raising", serving_default=checked), save("other", serving_default=lambda x, _: {"y": 2 * x})
    result = compare(raising, raising)
    assert (result.verdict, result.notes) == ("same", ["both raise in case extremes, which is not compared"])
    for pair, text in (((raising, other), "the reference raises"), ((other, raising), "the candidate raises")):
        result = compare(*pair)
        assert (result.verdict, text in result.findings[0]) == ("different", True)


@pytest.mark.extended
def test_a_random_or_batch_dependent_model_and_itself(save):
    random = save("random", serving_default=lambda x, _: {"y": 2 * x, "z": x + tf.random.normal(tf.shape(x))})
    result = compare(random, random)
    assert (result.verdict, result.exit_code) == ("undecided", 3)
    assert "two identical calls of the reference differ in z" in result.findings[0]
    batch = save("batch", serving_default=lambda x, _: {"y": x - tf.reduce_mean(x, 0)})
    result = compare(batch, batch)
    assert (result.verdict, "outputs depend on the batch" in result.notes[0]) == ("same", True)


@pytest.mark.extended
def test_quantised_inputs_and_outputs(tmp_path):
    rng = np.random.default_rng(0)

    def write(name, seed, integer):
        kernel = tf.constant(np.random.default_rng(seed).normal(size=(16, 4)).astype("float32"))
        module = tf.Module()
        module.f = tf.function(lambda x: {"y": x @ kernel}, input_signature=[tf.TensorSpec((1, 16), tf.float32, "x")])
        converter = tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module)
        if integer:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([rng.normal(size=(1, 16)).astype("float32")] for _ in range(50))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        (tmp_path / name).write_bytes(converter.convert())
        return tmp_path / name

    real, integer, other = write("real", 1, False), write("integer", 1, True), write("other", 2, True)
    for pair in ((real, integer), (integer, real)):
        result = compare(*pair)
        assert (result.verdict, result.exit_code, result.findings) == ("same, quantised", 0, [])
    assert compare(integer, integer).verdict == "same"
    assert compare(real, other).verdict == compare(integer, other).verdict == "different"


def test_requested_pairs_take_precedence(third_party):
    match = {"mean": "mean", "spread": "spread"}
    assert compare(third_party / "plain.tflite", third_party / "swapped.tflite", match=match).verdict == "different"
    with pytest.raises(ExportError, match="cannot match mean=median"):
        compare(third_party / "plain.tflite", third_party / "swapped.tflite", match={"mean": "median"})


def test_requested_pairs_of_inputs(third_party):
    files = third_party / "plain.tflite", third_party / "other_names.tflite"
    result = compare(*files, match={"x": "b"})
    assert (result.verdict, pairs(result, "inputs")["x"]) == ("same, renamed", ("b", "asked for"))
    assert compare(*files, match={"x": "a"}).verdict == "different"
    with pytest.raises(ExportError, match="cannot match x=output_0"):
        compare(*files, match={"x": "output_0"})


@pytest.mark.extended
def test_our_own_files(bundles):
    path = bundles("masked").path
    result = compare(path / "saved_model/1", path / "tflite/float32.tflite")
    assert (result.verdict, result.findings) == ("same", [])


@pytest.mark.extended
def test_integers_without_a_range_need_samples(bundles, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes((bundles("masked").path / "tflite/float32.tflite").read_bytes())
    with pytest.raises(ExportError, match="give --samples with an array tokens in it"):
        compare(path, path)
    np.savez(tmp_path / "x.npz", tokens=np.array([[1, 2, 3], [4, 5, 0]]))
    process = run("compare", path, path, "--samples", tmp_path / "x.npz", "--json")
    assert json.loads(process.stdout)["verdict"] == "same", process.stderr


def test_artifacts_that_cannot_be_compared(bundles, tmp_path):
    path = bundles("functional_cnn").path
    with pytest.raises(ExportError, match="is a bundle; give one of its artifacts"):
        compare(path, path)
    with pytest.raises(ExportError, match="weights only"):
        compare(path / "model.weights.h5", path / "tflite/float32.tflite")
    with pytest.raises(CheckFailed, match="no match for"):
        compare(path / "tflite/float32.tflite", bundles("two_by_two").path / "tflite/float32.tflite")
    process = run("compare", path, path, "--match", "x")
    assert (process.returncode, "give REFERENCE=CANDIDATE" in process.stderr) == (2, True)


@pytest.fixture(scope="module")
def basic_pitch(tmp_path_factory):
    """Return a third-party network: nmp is a SavedModel of TensorFlow 2.4.1; nmp.tflite, nmp.onnx.

    From the wheel of Spotify's basic-pitch (Apache-2.0), unpacked and never installed.
    """
    folder, inside = tmp_path_factory.mktemp("wheel"), "basic_pitch/saved_models/icassp_2022/nmp"
    try:
        wheel = packages.fetch_wheel(
            "basic-pitch==0.4.0", "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0", folder
        )
    except SourceUnavailable as reason:
        pytest.skip(str(reason))
    packages.unzip(wheel, folder, inside)
    return folder / inside


@pytest.mark.extended
def test_a_saved_model_of_tensorflow_2_4_and_its_conversion_to_tflite(basic_pitch):
    """It divides each row by its own range, so a constant row is not compared, and one is noisy up to 0.8 %."""
    assert describe(basic_pitch).producer == {"tensorflow": "2.4.1"}
    result = compare(basic_pitch, basic_pitch.with_suffix(".tflite"))
    assert (result.verdict, result.findings) == ("same", [])
    assert any(note.startswith("the reference is discontinuous at zeros,") for note in result.notes)


@pytest.mark.extended
@pytest.mark.needs("onnx")
def test_a_third_party_onnx_file(basic_pitch):
    result = compare(basic_pitch, basic_pitch.with_suffix(".onnx"))
    assert (result.verdict, result.findings) == ("same, renamed", [])
    assert pairs(result) == {
        "contour": ("StatefulPartitionedCall:0", "dtype and shape"),
        "note": ("StatefulPartitionedCall:1", "value"),
        "onset": ("StatefulPartitionedCall:2", "value"),
    }


RNG = np.random.default_rng(0)


def tensors(*names, dtype="float32", shape=(None, 3)):
    return [ThirdPartyTensor(name, dtype, shape) for name in names]


@pytest.mark.parametrize(
    ("name", "plain_name"),
    [("serving_default_image:0", "image"), ("Image", "image"), ("StatefulPartitionedCall:1",) * 2],
)
def test_plain_names(name, plain_name):
    assert plain(name) == plain(plain_name).removesuffix(":1")


def test_names_take_precedence():
    assert match(tensors("a", "b"), tensors("b", "serving_default_a:0")) == [
        [Pair("b", "b", "name"), Pair("a", "serving_default_a:0", "name")]
    ]


def test_dtype_and_shape_match_other_names():
    ones = tensors("x") + tensors("y", dtype="int32") + tensors("z", shape=(None, 4))
    others = tensors("q", dtype="int64") + tensors("r", shape=(1, 4)) + tensors("p", shape=(None, None))
    (pairs,) = match(ones[:2], others[:1] + others[2:])
    assert pairs == [Pair("x", "p", "dtype and shape"), Pair("y", "q", "dtype and shape")]
    assert len(match(ones[::2], others[1:])) == 1


def test_ambiguous_tensors_give_all_pairings():
    pairings = match(tensors("left", "right"), tensors("one", "two"))
    assert [[(p.reference, p.candidate, p.how) for p in pairs] for pairs in pairings] == [
        [("left", "one", "value"), ("right", "two", "value")],
        [("left", "two", "value"), ("right", "one", "value")],
    ]


def test_pairs_that_are_asked_for_come_first():
    (pairs,) = match(tensors("a", "b"), tensors("a", "b"), {"a": "b"})
    assert pairs == [Pair("a", "b", "asked for"), Pair("b", "a", "dtype and shape")]
    with pytest.raises(ExportError, match="cannot match a=c"):
        match(tensors("a"), tensors("b"), {"a": "c"})


def test_no_match():
    with pytest.raises(CheckFailed, match=r"no match for b float32 \(None, 3\)"):
        match(tensors("a", "b"), tensors("a"))
    with pytest.raises(CheckFailed, match="no match for a"):
        match(tensors("a"), tensors("b", shape=(None, 4)))


def cases(values):
    return [values, values[:2] * 2]


def test_values_overrule_names_only_where_they_are_clearly_closer():
    a, b = RNG.normal(size=(2, 5, 3)).astype("float32")
    named = [Pair("a", "a", "name"), Pair("b", "b", "name")]
    swapped = by_value(named, {"a": cases(a), "b": cases(b)}, {"a": cases(b), "b": cases(a)})
    assert swapped == [Pair("a", "b", "value"), Pair("b", "a", "value")]
    assert by_value(named, {"a": cases(a), "b": cases(b)}, {"a": cases(a + 0.1), "b": cases(b)}) == named
    both_wrong = RNG.normal(size=(2, 5, 3)).astype("float32")
    candidate = {"a": cases(both_wrong[0]), "b": cases(both_wrong[1])}
    assert by_value(named, {"a": cases(a), "b": cases(b)}, candidate) == named


def test_values_match_despite_quantisation():
    a, b = RNG.normal(size=(2, 5, 3)).astype("float32")
    named = [Pair("a", "x", "value"), Pair("b", "y", "value")]
    pairs = by_value(named, {"a": cases(a), "b": cases(b)}, {"x": cases(b + 0.01), "y": cases(a - 0.01)})
    assert {p.reference: p.candidate for p in pairs} == {"a": "y", "b": "x"}


def test_requested_pairs_are_not_changed_by_values():
    a, b = RNG.normal(size=(2, 5, 3)).astype("float32")
    requested = [Pair("a", "a", "asked for"), Pair("b", "b", "name")]
    assert by_value(requested, {"a": cases(a), "b": cases(b)}, {"a": cases(b), "b": cases(a)}) == requested
