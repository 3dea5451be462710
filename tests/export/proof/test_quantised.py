"""Quantised TFLite: real training, conversion and LiteRT, and the metric drop on held-out data."""

import json
import os
import re

import keras
import numpy as np
import pytest

from export import Checks, Evaluation, ExportError, ExportFailed, Quantization, export_model, verify_bundle
from export.artifacts import describe
from export.contract import Artifact, Contract, Endpoint, Tensor
from export.contract.endpoints import tensor_endpoint
from export.formats import QUANTIZATIONS, format_of
from export.parity.cases import read_golden
from export.proof.certificate import ProofRequest
from export.proof.evaluation import paired_drop, read_evaluation, with_metric_drop
from export.runners.jobs.run_tensor_errors import rank_operators
from tests import commands
from tests.export.conftest import create
from tests.plugins import needs

ALL = needs.quantizations()


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x, y = x.reshape(-1, 8, 8, 1).astype("float32"), y.astype("int32")
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    z = keras.layers.Conv2D(16, 3, activation="relu")(keras.layers.Rescaling(1 / 16)(image))
    z = keras.layers.Flatten(name="flatten")(keras.layers.Conv2D(16, 3, activation="relu")(z))
    model = keras.Model(image, keras.layers.Dense(10, name="logits")(z))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x[:1297], y[:1297], epochs=12, batch_size=64, verbose=0)
    return model, (x[:1297], y[:1297]), (x[1297:], y[1297:])


def contract_of(model):
    image = Tensor("image", "float32", (None, 8, 8, 1), "image", 0, 16)
    return Contract((tensor_endpoint(model, [image], [Tensor("logits", "float32", (None, 10), "logits")]),))


def rows_of(certificate):
    rows = (row for row in certificate.rows if "/" in row.artifact and row.runtime in ("litert", "onnxruntime", None))
    return {row.artifact.partition("/")[2].partition(".")[0]: row for row in rows}


def tensor_types(file):
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name.lower() for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file.read_bytes(), 0))
    return {names[tensor.type] for tensor in model.subgraphs[0].tensors}


@pytest.fixture(scope="module")
def options(digits):
    model, train, test = digits
    data = {"calibration": {"image": train[0][:200]}, "evaluation": Evaluation({"image": test[0]}, test[1])}
    return contract_of(model), data | {"max_drop": 0.03}  # int4 loses 0.8 points


@pytest.fixture(scope="module")
def bundle(digits, options, tmp_path_factory):
    out = tmp_path_factory.mktemp("quantised") / "b"
    contract, data = options
    return export_model(digits[0], out, contract=contract, formats=("tflite",), quantization=Quantization(ALL, **data))


@pytest.mark.needs("onnx", "quantizer")
def test_every_precision_is_written():
    assert tuple(QUANTIZATIONS) == ALL


@pytest.mark.extended
def test_every_precision_is_evaluated_by_its_metric_drop(bundle):
    rows = rows_of(bundle.certificate)
    files = {name: bundle.path / f"{(f := format_of(name)).name}/{name}{f.extension}" for name in ALL}
    files["float32"] = bundle.path / "tflite/float32.tflite"
    sizes = [files[name].stat().st_size for name in ("int4", "int8", "float16", "float32") if name in files]
    assert sizes == sorted(sizes)
    if "qdq" in ALL:
        assert "QuantizeLinear" in describe(files["qdq"]).operations
    types = {"int8": {"int8", "int32"}, "16x8": {"int16", "int64"}, "int4": {"int4"}}
    assert all(types[name] <= tensor_types(files[name]) for name in types if name in ALL)
    for name in ALL:
        endpoint = rows[name].endpoints["serving_default"]
        figures, drop = endpoint["quantised"]["logits"], endpoint["evaluation"]
        assert figures["rows"] == 64
        budget = QUANTIZATIONS[name].budget
        assert figures["sqnr_db"] >= budget.sqnr_db
        assert figures["top1"][0] / figures["top1"][1] >= budget.top1
        assert endpoint["budget"] == {"sqnr_db": budget.sqnr_db, "top1": budget.top1}
        assert drop["metric"] == "accuracy"
        assert drop["examples"] == 500
        assert drop["reference"] > 0.85
        assert drop["low"] <= drop["drop"] <= drop["high"] <= 0.03
    assert "accuracy" in (bundle.path / "README.md").read_text()
    assert json.loads((bundle.path / "parity.json").read_text())["verdict"] == "pass"
    verified = rows_of(verify_bundle(bundle.path))
    assert {name: verified[name].state for name in ALL} == dict.fromkeys(ALL, "pass")
    again, before = (of["int8"].endpoints["serving_default"]["quantised"] for of in (verified, rows))
    assert again == before


@pytest.mark.needs("quantizer")
def test_operators_that_stay_float_reduce_the_noise(digits, options, bundle, tmp_path):
    contract, data = options
    quantization = Quantization(("int8",), keep_float=2, **data)
    selective = export_model(digits[0], tmp_path / "b", contract=contract, formats=(), quantization=quantization)
    before, after = rows_of(bundle.certificate)["int8"], rows_of(selective.certificate)["int8"]
    assert after.note == "2 of 4 operators stay float: flatten, logits"
    sqnr = [row.endpoints["serving_default"]["quantised"]["logits"]["sqnr_db"] for row in (before, after)]
    assert sqnr[1] > sqnr[0] + 3
    sizes = [(b.path / "tflite/int8.tflite").stat().st_size for b in (bundle, selective)]
    assert sizes[1] < (bundle.path / "tflite/float32.tflite").stat().st_size
    assert rows_of(verify_bundle(selective.path))["int8"].state == "pass"


@pytest.mark.extended
def test_operators_are_ranked_by_the_noise_that_they_add(digits, bundle):
    files = [(bundle.path / f"tflite/{name}.tflite").read_bytes() for name in ("float32", "int8")]
    ranking = rank_operators(*files, "serving_default", {"image": digits[2][0][:8]})
    layers = {operator["layer"] for operator in ranking}
    assert "logits" in layers
    assert any(layer.startswith("conv2d") for layer in layers)  # Keras numbers them within a process
    assert all(operator["sqnr_db"] > 15 for operator in ranking)
    assert rank_operators(files[0], files[0], "serving_default", {"image": digits[2][0][:8]}) == []


@pytest.mark.extended
def test_int8_is_measured_on_the_range_of_the_contract_too(digits, bundle, tmp_path):
    """Calibrated on 0..1 where the contract allows 0..16: good on such data, useless on the rest of the range."""
    model, train, test = digits
    quantization = Quantization(("int8",), {"image": train[0][:100] / 16})
    options = {"samples": {"image": test[0] / 16}, "contract": contract_of(model), "formats": ("tflite",)}
    narrow = export_model(model, tmp_path / "b", quantization=quantization, **options)
    row = rows_of(narrow.certificate)["int8"]
    assert row.state == "pass"
    assert "dB SQNR on inputs of the whole range that the contract allows (budget 15 dB)" in row.note
    assert rows_of(bundle.certificate)["int8"].note is None


@pytest.mark.extended
def test_calibration_with_other_data_fails_the_budget(digits, tmp_path):
    model, _, test = digits
    quantization = Quantization(("int8",), {"image": np.zeros((100, 8, 8, 1))})
    options = {"samples": {"image": test[0]}, "contract": contract_of(model), "formats": ("tflite",)}
    with pytest.raises(ExportFailed, match=r"tflite/int8.tflite in litert: .* SQNR on typical inputs") as failure:
        export_model(model, tmp_path / "b", quantization=quantization, **options)
    row = rows_of(failure.value.certificate)["int8"]
    assert re.search(r"; most noise is added by \w+ \([\d.-]+ dB\)", row.reason)
    failed = rows_of(verify_bundle(failure.value.bundle_path))["int8"]
    assert failed.state == "fail"
    assert "most noise is added by" in failed.reason
    agreeing, untied = row.endpoints["serving_default"]["quantised"]["logits"]["top1"]
    assert agreeing / untied < 0.95


@pytest.mark.extended
def test_a_drop_beyond_the_budget_fails(digits, tmp_path):
    model, train, test = digits
    exact = model.predict(test[0], verbose=0)
    metrics = lambda outputs, truth: {"equal": float(np.mean(np.abs(outputs["output"] - truth) < 1e-6))}  # noqa: E731
    quantization = Quantization(("int8",), {"image": train[0][:100]}, Evaluation({"image": test[0]}, exact, metrics))
    with pytest.raises(ExportFailed, match=r"equal .* -> .*, drop .* which may be more than the budget of 0.01"):
        export_model(model, tmp_path / "b", formats=(), quantization=quantization)


@pytest.mark.extended
def test_too_few_examples_for_the_budget_are_named(digits, tmp_path):
    """Nothing changes in 50 answers, which shows no less than a drop of 3 / 50."""
    model, train, test = digits
    few = Evaluation({"image": test[0][:50]}, test[1][:50])
    quantization = Quantization(("float16",), {"image": train[0][:100]}, few)
    with pytest.raises(ExportFailed, match=r"budget of 0\.01: 50 examples cannot show that it is less; evaluate on"):
        export_model(model, tmp_path / "b", contract=contract_of(model), formats=(), quantization=quantization)


def test_invalid_arguments(digits, tmp_path):
    model, train, _ = digits
    for options, text in (
        ({"forms": ("int8",)}, "int8 needs calibration rows of image"),
        ({"forms": ("int8",), "calibration": {"image": train[0][:99]}}, "at least 100 calibration rows .* not 99"),
        ({"forms": ("int9",)}, "unknown precision 'int9'; did you mean int8"),
        ({"forms": ("float16", "int8")}, "int8 needs calibration rows of image"),
        ({"calibration": {"image": train[0]}}, "are for quantised files"),
        ({"forms": ("float16",), "keep_float": 2}, "keep_float is 2; give the number of operators of an int8 file"),
    ):
        with pytest.raises(ExportError, match=text):
            export_model(model, tmp_path / "b", formats=("tflite",), quantization=Quantization(**options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.extended
def test_from_the_command_line(digits, tmp_path):
    model, train, test = digits
    model.save(tmp_path / "m.keras")
    np.savez(tmp_path / "c.npz", image=train[0][:100])
    np.savez(tmp_path / "e.npz", image=test[0], y=test[1])
    np.savez(tmp_path / "bad.npz", image=test[0], y=test[1][:9])
    command = ["-m", "export", "model", "m.keras", "-o", "b", "--formats", "tflite", "--quantize", "int8"]

    def run(*more):
        env = os.environ | {"PYTHONPATH": os.getcwd()}
        return commands.run(*command, *more, timeout=300, cwd=tmp_path, env=env)

    rejected = run("--calibration", "c.npz", "--eval", "bad.npz")
    assert rejected.returncode == 2
    assert "different or no length" in rejected.stderr
    process = run("--calibration", "c.npz", "--eval", "e.npz", "--max-drop", "0.03", "--json")
    assert process.returncode == 0, process.stderr
    row = next(r for r in json.loads(process.stdout)["artifacts"] if r["artifact"] == "tflite/int8.tflite")
    assert row["endpoints"]["serving_default"]["evaluation"]["max_drop"] == 0.03


@pytest.mark.extended
@pytest.mark.needs("mesa-vulkan-drivers")
def test_half_precision_is_evaluated_by_its_metric_drop(digits, options, tmp_path):
    """With all examples, with too few of them, and by a metric of which half precision loses everything."""
    contract, all_of_them, (model, _, test) = options[0], options[1]["evaluation"], digits
    arguments = {"contract": contract, "formats": ("tflite",), "quantization": Quantization(evaluation=all_of_them)}
    checks = Checks(extras=("litert_gpu_half",))
    bundle = export_model(model, tmp_path / "b", checks=checks, **arguments)
    metrics = lambda outputs, truth: {"equal": float(np.mean(outputs["logits"] == truth))}  # noqa: E731
    exact = Evaluation({"image": test[0]}, model(test[0], training=False).numpy(), metrics)
    artifact = Artifact("tflite", "tflite/float32.tflite", ("serving_default",), batch=1)
    request = ProofRequest(bundle.path, contract, [artifact], read_golden(bundle.path / "golden", contract))
    (row,) = [row for row in bundle.certificate.rows if row.runtime == "litert_gpu_half"]
    others = [with_metric_drop(request, [row], other, 0.01)[0] for other in (all_of_them.part(slice(40)), exact)]
    assert [r.state for r in (row, *others)] == ["pass", "pass", "fail"]
    drops = [r.endpoints["serving_default"]["evaluation"] for r in (row, *others)]
    assert [drop["examples"] for drop in drops] == [500, 40, 500]
    assert [drop["high"] <= 0.01 for drop in drops] == [True, False, False]
    assert "40 examples cannot show that it is less" in others[0].note
    assert "equal 1.0000 -> 0." in others[1].reason
    with pytest.raises(ExportError, match="are for quantised files"):
        export_model(model, tmp_path / "refused", **arguments)


@pytest.mark.proof
def test_conversions_of_recurrent_models_are_one_row_each(tmp_path):
    """A GRU: an error or crash of the converter is a failed row, not a failed process."""
    model, contract = create("characters")
    calibration = {"tokens": np.random.default_rng(0).integers(0, 11, (100, 8))}
    predicted = model(calibration["tokens"]).numpy().argmax(-1)
    evaluation = Evaluation(calibration, predicted)  # of one endpoint; the file has another, `step`
    quantization = Quantization(("float16", "int8"), calibration, evaluation, max_drop=0.2)
    with pytest.raises(ExportFailed) as failure:
        export_model(model, tmp_path / "b", contract=contract, formats=("tflite",), quantization=quantization)
    rows = rows_of(failure.value.certificate)
    assert rows["float32"].state == rows["float16"].state == "pass"
    assert rows["float16"].endpoints["serving_default"]["evaluation"]["value"] > 0.9
    assert rows["int8"].state == "fail"
    assert "the converter" in rows["int8"].reason


def test_the_coverage_of_the_confidence_interval():
    """500 paired experiments with a known drop of 0.02: the interval contains it in about 95 %."""
    rng = np.random.default_rng(0)
    metrics = lambda outputs, truth: {"accuracy": float(np.mean(outputs["y"] == truth))}  # noqa: E731
    covered = 0
    for _ in range(500):
        truth = np.zeros(800)
        before = rng.random(800) < 0.1  # wrong in a tenth
        flip = rng.random(800)
        after = np.where(before, flip > 0.10, flip < 0.10 * 0.1 / 0.9 + 0.02 / 0.9)
        drop = paired_drop(metrics, {"y": before.astype(float)}, {"y": after.astype(float)}, truth)
        covered += drop["low"] <= 0.02 <= drop["high"]
    assert 0.92 <= covered / 500 <= 0.98


def test_a_drop_leaves_out_whole_groups():
    """Ten of twelve patients lose nothing, two lose half: 600 examples are not 600 numbers."""
    metrics = lambda outputs, truth: {"accuracy": float(np.mean(outputs["y"] == truth))}  # noqa: E731
    truth, patient = np.zeros(600), np.repeat(np.arange(12), 50)
    after = ((patient < 2) & (np.arange(600) % 2 == 0)).astype(float)
    outputs = {"y": np.zeros(600)}, {"y": after}
    alone, grouped = (paired_drop(metrics, *outputs, truth, groups) for groups in (None, patient))
    assert grouped["drop"] == alone["drop"] == pytest.approx(1 / 12)
    assert alone["low"] > 0.05
    assert grouped["low"] < 0
    assert (grouped["groups"], "groups" in alone) == (12, False)
    single = paired_drop(metrics, *outputs, truth, np.zeros(600))
    assert (single["low"], single["high"]) == (
        single["drop"] - 1,
        single["drop"] + 1,
    )  # not NaN, which no gate is above
    data = {"x": np.zeros((600, 1)), "y": truth, "groups": patient}
    evaluation = read_evaluation(data, Endpoint("serving_default", (Tensor("x", "float32", (None, 1)),), (), call=dict))
    assert evaluation.part(slice(50, 150)).groups.tolist() == patient[50:150].tolist()


def test_the_drop_of_errors_is_relative_and_the_interval_without_changes_is_three_over_n():
    metrics = lambda outputs, truth: {"mse": float(np.mean((outputs["y"] - truth) ** 2))}  # noqa: E731
    truth, ones = np.zeros(90), np.ones(90)
    drop = paired_drop(metrics, {"y": ones}, {"y": ones * 1.1}, truth)
    assert drop["drop"] == pytest.approx(0.21)
    unchanged = paired_drop(metrics, {"y": ones}, {"y": ones}, truth)
    assert (unchanged["low"], unchanged["high"]) == (-3 / 90, 3 / 90)
