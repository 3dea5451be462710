"""What selective quantisation buys on a trained model; `make proof` runs it."""

import itertools

import numpy as np
import pytest

import pipelines
import zoo

pytestmark = pytest.mark.proof


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
