"""Full-size proofs on real pictures; `make proof` runs them."""

import numpy as np
import pytest

import pipelines
import zoo
from tests import photographs
from zoo import train

pytestmark = pytest.mark.proof


def crops(folder):
    return photographs.write(folder, 40)


def garments(folder, most=60):
    """Fashion-MNIST as PNG files, a folder a class."""
    data = pipelines.load("fashion_mnist")
    count = dict.fromkeys(data.info.class_names, 0)
    for example in data.train.as_numpy_iterator():
        name = data.info.class_names[example["label"]]
        if count[name] < most:
            path = folder / name.replace("/", "-") / f"{count[name]}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(example["image"])
            count[name] += 1
    return folder


@pytest.mark.parametrize("pictures", [crops, garments])
def test_default_flags_reach_a_logistic_regression_on_the_same_features(pictures, tmp_path):
    told = train.run("flowers", data_dir=str(pictures(tmp_path / "p")), out=str(tmp_path / "run"), export=False)
    baseline = told["baseline"]["logistic_regression_on_frozen_features"]["accuracy"]
    noise = 2 * np.sqrt(max(baseline * (1 - baseline), 0.01) / told["examples"])
    print(f"{told['metrics']['accuracy']:.4f}, beside it {baseline:.4f}, on {told['examples']} test pictures")
    assert told["metrics"]["accuracy"] >= baseline - noise


def test_the_whole_chain_with_the_real_backbone(tmp_path):
    folder = photographs.write(tmp_path / "p", 20, classes=4)
    told = train.run("flowers", data_dir=str(folder), out=str(tmp_path / "run"))
    assert [bundle["verdict"] for bundle in told["bundles"]] == ["pass"]
    model = zoo.build("flowers", weights=str(tmp_path / "run"))
    assert model.output.shape == (None, 4)
