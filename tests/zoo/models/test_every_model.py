"""Tests of every model of the zoo: shapes, gradients, learning, configs, training, export and verification."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.plugins.tiers import only
from tests.zoo.conftest import data_dir
from zoo.core import plan
from zoo.core.capabilities import Initializes
from zoo.core.run_folder import RunFolder
from zoo.evaluation import outputs as inference
from zoo.training.compiling import compile_model

ELSEWHERE = {"landmarks", "grapheme_to_phoneme", "faces"}  # flowers and attention with other data; not trained
ALIKE = {  # of a kind of another, for `proof`
    *("skin_lesions", "gan", "mnist", "mnist_cnn", "text", "efficientnet_lite0", "style_transfer", "cyclegan"),
    *("crepe", "admissions", "text_transformer", "bike_sharing", "forecast", "language", "magika"),
    "person_segmentation",
}
KINDS = {  # one of each kind of contract
    *("fashion_mnist", "pix2pix", "sentiment", "keywords", "table"),  # images, pairs, texts, sounds, rows
    *("attention", "text_rnn", "autoencoder", "dcgan"),  # sequences, states, encoder and decoder, samples from noise
}
MODELS = [name for name in zoo.list_models() if name not in ELSEWHERE]


@pytest.fixture(scope="module", params=only(MODELS, {"fashion_mnist"}, ALIKE | {"flowers"}))
def entry(request):
    """A test-sized model with its plan, data and one real batch."""
    name = request.param
    keras.utils.set_random_seed(0)
    plain = {"schedule": "constant", "warmup": 0, "learning_rate": 2e-3, "optimizer": "adam"}
    settings = zoo.get_spec(name).tiny_settings() | {f"recipe.{field}": value for field, value in plain.items()}
    planned = plan.make_plan(name, data_dir=data_dir(name), settings=settings)
    dataset = planned.load_data()
    return planned, dataset, next(iter(planned.feed(dataset, "train", training=True).batches(8)))


def fresh(entry, eager=False):
    planned, dataset, _ = entry
    model = planned.build(dataset.info)
    if isinstance(planned.task, Initializes):  # as the trainer does
        planned.task.initialize(model, dataset)
    compile_model(model, planned, dataset.info, steps=1000)
    model.run_eagerly = eager
    return model


def test_outputs_have_the_shapes_of_the_contract(entry):
    planned, dataset, _ = entry
    batch = next(iter(planned.feed(dataset, "validation").batches(8)))  # training examples may be shorter
    for served in planned.task.served(planned.build(dataset.info)).values():
        for endpoint in planned.task.contract(served, dataset.info).endpoints:
            if endpoint.name != "serving_default":
                continue
            outputs = endpoint.call(inference.by_name(batch[0], endpoint))
            assert set(outputs) == {t.name for t in endpoint.outputs}
            for tensor in endpoint.outputs:
                got = outputs[tensor.name]
                assert got.dtype.name == tensor.dtype
                assert len(got.shape) == len(tensor.shape)
                assert all(want in (None, have) for want, have in zip(tensor.shape, got.shape, strict=True))


def test_every_trainable_variable_gets_a_finite_gradient(entry):
    model = fresh(entry, eager=True)
    seen = {}
    for optimizer in [o for o in vars(model).values() if isinstance(o, keras.optimizers.Optimizer)]:
        original = optimizer.apply

        def record(gradients, variables=None, original=original, model=model):
            for gradient, variable in zip(gradients, variables or model.trainable_variables, strict=True):
                seen[variable.path] = gradient
            return original(gradients, variables)

        optimizer.apply = record
    for _ in range(2):  # in the first step, nothing reaches the layers below a head of zeros
        model.train_on_batch(*entry[2])
    missing = [v.path for v in model.trainable_variables if seen.get(v.path) is None]
    assert not missing, f"no gradient reaches {missing}"
    for path, gradient in seen.items():
        values = tf.convert_to_tensor(gradient).numpy()  # an embedding's gradient comes as slices
        assert np.isfinite(values).all(), f"the gradient of {path} is not finite"
        assert values.any(), f"the gradient of {path} is zero everywhere"


def test_loss_falls_on_one_batch(entry):
    model = fresh(entry)
    name = (
        "loss" if "loss" in [m.name for m in model.metrics] else "d_loss"
    )  # of two sides, the discriminator must win at first
    losses = []
    for _ in range(100):
        model.reset_metrics()
        losses.append(float(model.train_on_batch(*entry[2], return_dict=True)[name]))
        first, last = np.mean(losses[:5]), np.mean(losses[-5:])  # means: dropout makes it vary
        if len(losses) >= 10 and first - last > 0.15 * abs(first):
            return
    pytest.fail(f"from {losses[:5]} to {losses[-5:]} in {len(losses)} steps")


def test_a_model_is_restored_from_its_config(entry):
    planned, dataset, batch = entry
    model = planned.build(dataset.info)
    again = type(model).from_config(model.get_config())
    assert json.dumps(again.get_config(), sort_keys=True) == json.dumps(model.get_config(), sort_keys=True)
    again(batch[0])
    again.set_weights(model.get_weights())
    for one, other in zip(_flat(model(batch[0])), _flat(again(batch[0])), strict=True):
        np.testing.assert_array_equal(one, other)


def test_served_models_have_no_random_and_no_lambda_layers(entry):
    planned, dataset, _ = entry
    for served in planned.task.served(planned.build(dataset.info)).values():
        for layer in served._flatten_layers():
            assert not type(layer).__name__.startswith("Random"), f"{layer.name} would augment the inputs"
            assert not isinstance(layer, keras.layers.Lambda), f"{layer.name} contains code that cannot be saved"


@pytest.mark.parametrize("name", only(MODELS, KINDS, ALIKE))
def test_a_test_sized_training_gives_a_verified_bundle(trained, name):
    run = trained(name)
    certificates = [json.loads(path.read_text()) for path in run.glob("bundle*/parity.json")]
    assert len(certificates) == len(zoo.get_spec(name).task.served(RunFolder(run).model()))
    for certificate in certificates:
        assert certificate["verdict"] == "pass"
        ran = {(row["format"], row["runtime"]) for row in certificate["artifacts"] if row["state"] == "pass"}
        assert {("saved_model", "tensorflow"), ("tflite", "litert"), ("keras", "keras"), ("weights", "keras")} <= ran
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["split"] == "test"
    assert evaluation["examples"] > 0
    assert all(np.isfinite(v) for v in evaluation["metrics"].values())
    assert (run / "figures" / "curves.png").stat().st_size > 1000
    assert len((run / "history.csv").read_text().splitlines()) == 3


def _flat(outputs):
    return [np.asarray(x) for x in keras.tree.flatten(outputs)]
