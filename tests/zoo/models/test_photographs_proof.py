"""Full-size tests on real photographs, and of selective quantisation; `make proof` runs them."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

import pipelines
import zoo
from export import export_model
from export.proof.evaluation import Evaluation, Quantization
from tests import photographs
from tests.zoo.models.test_efficientnet_lite import CLASSES
from zoo import train

pytestmark = pytest.mark.proof


def crops(folder):
    return photographs.write(folder, 40)


def garments(folder, limit=60):
    data = pipelines.load("fashion_mnist")
    count = dict.fromkeys(data.info.class_names, 0)
    for example in data.train.as_numpy_iterator():
        name = data.info.class_names[example["label"]]
        if count[name] < limit:
            path = folder / name.replace("/", "-") / f"{count[name]}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(example["image"])
            count[name] += 1
    return folder


@pytest.mark.parametrize("images", [crops, garments])
def test_default_training_reaches_a_logistic_regression_on_the_same_features(images, tmp_path):
    summary = train.run("flowers", data_dir=str(images(tmp_path / "p")), out=str(tmp_path / "run"), export=False)
    baseline = summary["baseline"]["logistic_regression_on_frozen_features"]["accuracy"]
    noise = 2 * np.sqrt(max(baseline * (1 - baseline), 0.01) / summary["examples"])
    print(f"{summary['metrics']['accuracy']:.4f}, baseline {baseline:.4f}, on {summary['examples']} test images")
    assert summary["metrics"]["accuracy"] >= baseline - noise


def views(names, count, seed=0):
    """Yield random views of photographs: cropped, flipped, with other brightness; uint8 (224, 224, 3)."""
    random, images = np.random.default_rng(seed), photographs.photographs()
    for i in range(count):
        image = images[names[i % len(names)]]
        side = int(min(image.size) * random.uniform(0.75, 1))
        left, top = (int(random.integers(0, whole - side + 1)) for whole in image.size)
        view = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else view
        yield np.asarray(ImageEnhance.Brightness(view).enhance(random.uniform(0.8, 1.2)))


def test_int8_loses_at_most_a_point_of_top_1(tmp_path):
    classes = {Path(name).stem: set(ids) for name, ids in CLASSES.items()}
    others = [name for name in photographs.photographs() if name not in classes]
    images, calibration = (
        np.stack(list(views(n, c))).astype("float32") for n, c in ((list(classes), 1500), (others, 128))
    )
    truth = np.arange(len(images)) % len(classes)

    def metrics(outputs, truth):
        (logits,) = outputs.values()
        right = [top in classes[list(classes)[i]] for top, i in zip(logits.argmax(-1), truth, strict=True)]
        return {"top_1_accuracy": float(np.mean(right))}

    bundle = export_model(  # raises an error unless the confidence interval of the drop is below one percentage point
        zoo.build("efficientnet_lite0", weights="imagenet"),
        tmp_path / "bundle",
        formats=("tflite",),
        samples={"image": images[:32]},
        quantization=Quantization(("int8",), {"image": calibration}, Evaluation({"image": images}, truth, metrics)),
    )
    (row,) = (row for row in bundle.certificate.rows if row.artifact == "tflite/int8.tflite")
    print(row.endpoints["serving_default"]["evaluation"])


def test_the_whole_chain_with_the_real_backbone(tmp_path):
    folder = photographs.write(tmp_path / "p", 20, classes=4)
    summary = train.run("flowers", data_dir=str(folder), out=str(tmp_path / "run"))
    assert [bundle["verdict"] for bundle in summary["bundles"]] == ["pass"]
    model = zoo.build("flowers", weights=str(tmp_path / "run"))
    assert model.output.shape == (None, 4)


@pytest.mark.needs("quantizer")
def test_float_operators_raise_the_ratio_of_int8(tmp_path):
    from export import Evaluation, Quantization, export_model

    data = pipelines.load("fashion_mnist")
    train, test = (list(itertools.islice(pipelines.decoded(part), 2000)) for part in (data.train, data.test))
    images = np.stack([np.asarray(image) for image, _ in test]).astype("float32").reshape(-1, 28, 28, 1)
    calibration = np.stack([np.asarray(image) for image, _ in train[:200]]).astype("float32").reshape(-1, 28, 28, 1)
    labels = np.array([int(label) for _, label in test])
    ratios, sizes = [], []
    for keep in (0, 1, 4):
        bundle = export_model(
            zoo.build("fashion_mnist", weights="default"),
            tmp_path / f"keep-{keep}",
            formats=(),
            quantization=Quantization(
                ("int8",), {"image": calibration}, Evaluation({"image": images}, labels), keep_float=keep
            ),
        )
        (row,) = (row for row in bundle.certificate.rows if row.artifact == "tflite/int8.tflite")
        figures = row.endpoints["serving_default"]
        (quantised,) = figures["quantised"].values()
        ratios.append(quantised["sqnr_db"])
        sizes.append((bundle.path / row.artifact).stat().st_size)
        print(keep, sizes[-1], quantised, figures["evaluation"], row.note)
    assert ratios[1] > ratios[0]
    assert ratios[2] > ratios[0] + 3
    assert sizes[2] < 1.2 * sizes[0]
