"""A student learns the outputs of its teacher; other outputs, and models with losses of their own, are refused."""

import keras
import numpy as np
import pytest

from tests.zoo.conftest import fit
from zoo import train
from zoo.compression.distillation import distil, load_teacher
from zoo.core.plan import make_plan
from zoo.training.compiling import compile_model
from zoobase.errors import UsageError

SETTINGS = {
    "data": "digits",
    "recipe.limit": 200,
    "recipe.epochs": 1,
    "model.units": [64],
    "recipe.learning_rate": 0.003,
}


@pytest.fixture(scope="module")
def digits():
    """The dataset, which has as many classes as the teacher."""
    return make_plan("mnist", settings=SETTINGS).load_data()


def student_of(plan, dataset):
    keras.utils.set_random_seed(0)
    model = plan.build(dataset.info)
    compile_model(model, plan, dataset.info, 1000)
    return model


def distance(model, teacher, x):
    """Return the mean difference of the probabilities."""
    one, other = (keras.ops.softmax(m(x, training=False)) for m in (model, teacher))
    return float(keras.ops.mean(keras.ops.abs(one - other)))


def test_the_student_learns_the_teacher_and_not_the_labels_alone(digits):
    """With wrong labels, it can know the right ones from the teacher only."""
    plan = make_plan("mnist", settings=SETTINGS | {"recipe.teacher": "mnist", "recipe.learning_rate": 0.003})
    x, _ = next(iter(plan.feed(digits, "train").batches(100)))
    teacher = load_teacher("mnist")
    wrong = np.random.default_rng(0).integers(0, 10, len(x))
    distances = []
    for distilled in (False, True):
        model = student_of(plan, digits)
        if distilled:
            distil(model, teacher, plan, digits.info)
        before = model.test_on_batch(x, wrong, return_dict=True)["loss"]
        model.fit(x, wrong, epochs=50, batch_size=25, verbose=0)
        distances.append(distance(model, teacher, x))
    assert distances[1] < 0.6 * distances[0]
    same = student_of(plan, digits)
    assert same.test_on_batch(x, wrong, return_dict=True)["loss"] == pytest.approx(before, rel=1e-5)
    assert not any("teacher" in v.path for v in model.variables)
    assert len(model.variables) == len(same.variables), "a saved state has no teacher"


def test_the_setting_reaches_the_training(tmp_path):
    losses = []
    for teacher in ("", "mnist"):
        out = tmp_path / f"run{len(losses)}"
        fit("mnist", out, SETTINGS | {"recipe.teacher": teacher}, evaluate=False)
        losses.append((out / "history.csv").read_text())
    assert losses[0] != losses[1]


def test_another_teacher_is_refused(digits):
    plan = make_plan("mnist", settings=SETTINGS | {"recipe.teacher": "x"})
    student = student_of(plan, digits)
    image = keras.Input(student.input_shape[1:])
    other = keras.Model(image, keras.layers.Dense(7)(keras.layers.Flatten()(image)))
    with pytest.raises(UsageError, match=r"the teacher has outputs \(None, 7\), and mnist has \(None, 10\); omit it"):
        distil(student, other, plan, digits.info)
    image = keras.Input((9, 9, 1))
    other = keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(image)))
    with pytest.raises(UsageError, match=r"the teacher has inputs \(None, 9, 9, 1\), and mnist has"):
        distil(student, other, plan, digits.info)
    with pytest.raises(UsageError, match=r"recipe.teacher=nothing is neither a run nor a model with default weights"):
        train.run("mnist", settings={"recipe.teacher": "nothing"}, export=False)
