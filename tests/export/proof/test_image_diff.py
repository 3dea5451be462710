"""Comparison images of the card: reference, artifact and their amplified difference."""

import numpy as np
import pytest
from PIL import Image

from export.contract import Contract, Endpoint, Tensor
from export.parity.cases import GoldenCase
from export.proof import image_diff
from export.protocol.arrays import Outputs


def write(folder, value):
    image = Tensor("image", "float32", (None, 8, 8, 3), "image", low=0.0, high=255.0)
    contract = Contract((Endpoint("paint", (image,), (image,)),))
    reference = np.full((2, 8, 8, 3), 100, np.float32)
    cases = {"paint": [GoldenCase("real", {}, outputs={"image": reference}), GoldenCase("batch_7", {}, outputs={})]}
    runs = {
        f"{path} in here": {"paint": Outputs({("real", "main", "image"): array})}
        for path, array in (("right", reference), ("as right", reference.copy()), ("other", value))
    }
    image_diff.write_image_diffs(folder, contract, cases, runs)
    return np.asarray(Image.open(folder / "parity_paint.png"))


def test_equal_images_share_a_row_and_a_different_image_has_its_own(tmp_path):
    other = write(tmp_path / "a", np.full((2, 8, 8, 3), 101, np.float32))
    equal = write(tmp_path / "b", np.full((2, 8, 8, 3), 100, np.float32))
    assert len(other) == 2 * len(equal)
    difference = slice(2 * other.shape[1] // 3 + 60, -60)  # the middle of the last column of images
    assert other[len(equal) + 80 : -40, difference, :3].min() > 90  # 1 of 255, a hundred times larger
    assert equal[80:-40, difference, :3].max() == 0


def test_an_image_of_another_shape_is_not_shown(tmp_path):
    assert len(write(tmp_path, np.zeros((2, 4, 4, 3), np.float32))) == 240


@pytest.mark.parametrize(("difference", "factor"), [(0, 1), (1, 1), (0.5, 1), (0.05, 10), (3e-7, 1_000_000)])
def test_a_difference_is_amplified_to_the_visible_range(difference, factor):
    assert image_diff.amplification(difference) == factor
