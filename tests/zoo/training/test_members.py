"""A model that is the mean of several: trained from different seeds, one file in every format, resumed, refused."""

import numpy as np
import pytest

import pipelines
import zoo
from tests.zoo.conftest import fit
from zoo import train
from zoo.core.plan import make_plan
from zoo.core.run_folder import RunFolder
from zoo.training import trainer

RANDOM = np.random.default_rng(0)
SETTINGS = {"recipe.epochs": 2, "recipe.batch_size": 16, "model.units": (8,), "model.ensemble": 3}


def data():
    x = RANDOM.normal(size=(120, 3)).astype("float32")
    y = (x.sum(1) > 0).astype("int64")
    parts = slice(80), slice(80, 100), slice(100, 120)
    train_part, validation, test = ((x[p], y[p]) for p in parts)
    return pipelines.from_arrays(*train_part, validation=validation, test=test, name="sums", class_names=("no", "yes"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble") / "run"
    dataset = data()
    fit("table", folder, SETTINGS, dataset=dataset)
    return folder, dataset


@pytest.mark.extended
def test_the_output_is_the_mean_of_the_outputs_of_the_members(run):
    folder, dataset = run
    rows = next(iter(RunFolder.open(folder).plan().feed(dataset, "test").batches(20)))[0]
    whole = RunFolder.open(folder).model()(rows).numpy()
    single = make_plan("table", settings=SETTINGS | {"model.ensemble": 1}).build(RunFolder.open(folder).info())
    members = []
    for i in range(3):
        single.load_weights(folder / "restarts" / str(i) / "checkpoints" / "best.weights.h5")
        members.append(single(rows).numpy())
    assert np.ptp(members, axis=0).max() > 1e-3  # different seeds
    np.testing.assert_allclose(whole, np.mean(members, axis=0), atol=1e-6)


@pytest.mark.extended
def test_a_finished_member_is_not_trained_again(run, tmp_path, monkeypatch):
    folder, dataset = run
    real, out = trainer.train, str(tmp_path / "again")

    def killed(session):
        if session.folder.path.name == "2":
            raise KeyboardInterrupt
        return real(session)

    options = {"dataset": dataset, "settings": SETTINGS, "out": out, "export": False, "precision": "float32"}
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            train.run("table", **options)
    train.run("table", **options)
    for one, other in zip(
        RunFolder.open(out).model().get_weights(), RunFolder.open(folder).model().get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_one_member_is_the_model_itself():
    assert zoo.build("bike_sharing").count_params() * 4 == zoo.build("bike_sharing", ensemble=4).count_params()
