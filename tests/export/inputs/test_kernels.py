"""Resize methods against the libraries that have them, and preprocessing against the feed of the training."""

import io

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks.inputs import METHODS
from export.contract.preprocessing import RESIZES, ImagePreprocessing
from export.inputs.images import ImageFile, tensor_of
from export.inputs.kernels import RESIZERS, Span, resize
from pipelines import images
from tests.photographs import photographs

PHOTOGRAPH = np.asarray(photographs()["china"])


def spans(image, height, width):
    return Span(0, image.shape[0], 0, image.shape[0], height), Span(0, image.shape[1], 0, image.shape[1], width)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(224, 224), (96, 130)])
def test_a_method_equals_its_library(method, size):
    name, library = METHODS[method]
    ours = np.clip(resize(PHOTOGRAPH.astype(np.float32), *spans(PHOTOGRAPH, *size), name), 0, 255)
    theirs = np.clip(np.asarray(library(PHOTOGRAPH, *size), np.float64), 0, 255)
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < 0.45  # Pillow rounds twice


def test_every_method_of_a_contract_is_known_and_another():
    assert {*RESIZES} == {*RESIZERS, "bilinear_antialias_above_2"}
    results = [resize(PHOTOGRAPH.astype(np.float32), *spans(PHOTOGRAPH, 60, 70), name) for name in RESIZERS]
    apart = [np.abs(a - b).mean() for i, a in enumerate(results) for b in results[:i]]
    assert min(apart) > 0.01


def test_a_window_is_that_part_of_the_whole():
    image, window = PHOTOGRAPH.astype(np.float32), (slice(30, 70), slice(10, 50))
    for name in RESIZERS:
        whole = resize(image, *spans(image, 100, 90), name)
        np.testing.assert_allclose(resize(image, *spans(image, 100, 90), name, window), whole[window], atol=0.02)


def encoded(kind, exif=1):
    stream = io.BytesIO()
    image = Image.fromarray(PHOTOGRAPH)
    if kind == "RGBA":
        image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))))
        image.save(stream, "PNG")
    else:
        tags = Image.Exif()
        tags[0x0112] = exif
        image.save(stream, "JPEG", exif=tags, quality=90)
    return stream.getvalue()


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(224, 224, 3), (64, 96, 3), (28, 28, 1)])
@pytest.mark.parametrize(("kind", "exif"), [("JPEG", 1), ("JPEG", 6), ("RGBA", 1)])
def test_the_recipe_of_the_feed_gives_the_pixels_of_the_feed(fit, shape, kind, exif):
    data = encoded(kind, exif)
    colour = "grey" if shape[2] == 1 else "RGB"
    recipe = ImagePreprocessing("scaled", fit=fit, resize="bilinear_antialias_above_2", colour=colour)
    theirs = images.decode(tf.constant(data), *shape, fit).numpy().astype(int)
    difference = np.abs(tensor_of(ImageFile(data), recipe, shape) - theirs)
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_tensorflow_decodes_jpeg_files_otherwise_than_opencv():
    data = encoded("JPEG")
    decoded = {d: ImageFile(data).decoded(d, "white") for d in ("accurate", "fast")}
    np.testing.assert_array_equal(decoded["fast"], tf.io.decode_jpeg(data, 3).numpy())
    np.testing.assert_array_equal(decoded["accurate"], cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1])
    assert 0.3 < np.abs(decoded["fast"] - decoded["accurate"]).mean() < 3
