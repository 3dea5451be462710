"""What an application fed: named for images, sounds, texts and rows; and the golden files of a bundle."""

import base64
import io
import json
import subprocess

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from benchmarks import inputs as benchmark
from export.contract import Tensor
from export.contract.preprocessing import ImagePreprocessing, SoundPreprocessing, TextPreprocessing, from_json
from export.inputs import check, fed, golden_files, search, sounds, tables, texts
from export.inputs.images import ImageFile
from export.inputs.snippets import LANGUAGES, snippet
from pipelines.images import read
from pipelines.sound import loudest
from pipelines.sound import read as read_sound
from pipelines.text import wordpiece, words
from tests.photographs import photographs
from zoobase.errors import ExportError

RECIPE = ImagePreprocessing("accurate", resize="bilinear_antialias")
IMAGE = Tensor("image", "float32", (None, 96, 96, 3), "image", 0, 255, preprocessing=RECIPE)
PHOTOGRAPHS = list(photographs().values())


def case(**mistakes):
    usual = {"method": None, "colour": "RGB", "scale": "0 to 255", "layout": "NHWC", "fit": "stretch", "share": 1.0}
    return usual | {"exif": 1, "ignores_exif": False, "flipped": False, "decoder": "accurate", "fill": 0} | mistakes


@pytest.mark.parametrize(
    ("mistakes", "named"),
    [
        ({}, {}),
        ({"colour": "BGR"}, {"colour": "BGR"}),
        ({"scale": "0 to 1 (divided by 255)"}, {"scale": "0 to 1 (divided by 255)"}),
        ({"scale": "mean and deviation of ImageNet"}, {"scale": "mean and deviation of ImageNet"}),
        ({"layout": "NCHW"}, {"layout": "NCHW"}),
        ({"layout": "NCHW read as NHWC"}, {"layout": "NCHW read as NHWC"}),
        ({"method": "OpenCV bilinear"}, {"resize": "bilinear"}),
        ({"method": "Pillow bicubic_antialias", "colour": "BGR"}, {"resize": "bicubic_antialias", "colour": "BGR"}),
        ({"exif": 6, "ignores_exif": True}, {"orientation": 1}),
        ({"exif": 8}, {}),
        ({"flipped": True}, {"orientation": 2}),
        ({"fit": "crop"}, {"fit": "crop"}),
        ({"fit": "resize_crop", "share": 0.875}, {"fit": "resize_crop", "share": 0.875}),
        ({"fit": "pad", "fill": 114}, {"fit": "pad", "fill": 114.0}),
        ({"decoder": "fast"}, {"decoder": "fast"}),
    ],
)
def test_what_the_libraries_did_is_named(mistakes, named):
    data, tensor = benchmark.feed(PHOTOGRAPHS[10], case(**mistakes), (96, 96, 3))
    found = search.explain(ImageFile(data), tensor, (96, 96, 3), RECIPE)
    assert {stage: actual for stage, (actual, _) in found.differences().items()} == named
    assert found.best.residual < 0.5


@pytest.mark.extended
def test_what_cannot_be_separated_is_listed_and_not_called_a_mistake():
    image = Image.fromarray(np.repeat(np.asarray(PHOTOGRAPHS[1].convert("L"))[..., None], 3, 2))  # grey: RGB is BGR
    data, tensor = benchmark.feed(image, case(colour="BGR"), (96, 96, 3))
    found = search.explain(ImageFile(data), tensor, (96, 96, 3), RECIPE)
    assert not found.differences()
    assert "BGR" in found.similar["colour"]


@pytest.mark.extended
def test_a_tensor_that_is_no_image_is_not_explained():
    data, _ = benchmark.feed(PHOTOGRAPHS[1], case(), (96, 96, 3))
    random = np.random.default_rng(0)
    for array, text in [
        (random.uniform(0, 255, (96, 96, 3)), "levels of 255 remain"),
        (np.zeros((96, 96, 3)), "all its values are 0"),
        (np.full((96, 96, 3), np.nan), "NaN or infinity"),
        (np.zeros((64, 64, 3)), "one example has"),
    ]:
        found = check.check_image(IMAGE, ImageFile(data), array)
        assert (found.verdict, text in found.reason) == ("unknown", True)


def test_transparency_on_black_is_named():
    image = PHOTOGRAPHS[0].convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    tensor = np.asarray(Image.alpha_composite(black, image).convert("RGB").resize((96, 96), 2))
    found = search.explain(ImageFile(stream.getvalue()), tensor, (96, 96, 3), RECIPE)
    assert found.differences() == {"alpha": ("black", "white")}


def test_dumps_of_every_kind_are_read(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (1, 4, 5, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", image=array, other=array[..., :1])
    (tmp_path / "x.raw").write_bytes(array.astype(np.uint8).tobytes())
    (tmp_path / "x.json").write_text(json.dumps({"instances": array.tolist()}))
    packed = base64.b64encode(array.tobytes()).decode()
    (tmp_path / "y.json").write_text(json.dumps({"inputs": {"image": {"b64": packed}}}))
    for name in ("x.npy", "x.npz", "x.raw", "x.json", "y.json"):
        assert np.array_equal(fed.read(tmp_path / name, None, (4, 5, 3), "image").reshape(array.shape), array), name
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY, or not")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "short.raw").write_bytes(b"123")
    for name in ("bad.npy", "objects.npy", "short.raw", "missing.npy"):
        with pytest.raises(ExportError, match=r"is not the dump of a tensor|there is no file"):
            fed.read(tmp_path / name, None, (4, 5, 3))


def recording(path, rate=44100):
    random, t = np.random.default_rng(0), np.arange(2 * rate) / rate
    one = 0.5 * np.exp(-(((t - 1.2) / 0.2) ** 2)) * np.sin(2 * np.pi * (300 * t + 200 * t**2))
    stereo = np.stack([one + 0.01 * random.standard_normal(len(t)), 0.5 * one], 1)
    wavfile.write(path, rate, (stereo * 32767).astype(np.int16))
    return stereo


def test_what_was_done_to_a_sound_is_named(tmp_path):
    recording(path := tmp_path / "x.wav")
    data, recipe = path.read_bytes(), SoundPreprocessing(window="loudest")
    right = loudest(read_sound(path, 16000), 16000)
    np.testing.assert_allclose(sounds.tensor_of(data, recipe, 16000, 16000), right, atol=1e-6)
    samples, _ = sounds.read(data)
    linear = sounds.resample(samples[:, 0], 44100, 16000, "linear")
    for tensor, named in [
        (right, {}),
        (right * 32768, {"scale": "int16"}),
        (right / np.abs(right).max(), {"scale": "divided by the largest sample"}),
        (linear[:16000], {"channels": "first", "resample": "linear", "window": "first"}),
        (samples.mean(1)[:16000], {"resample": "none", "window": "first"}),
        (samples.reshape(-1)[:16000], {"channels": "interleaved", "resample": "none", "window": "first"}),
    ]:
        stages, _, residual = sounds.explain(data, tensor, 16000, 16000, recipe)
        stated = sounds.stages_of(recipe)
        assert {k: v for k, v in stages.items() if v != stated[k]} == named
        assert residual < 1e-3


def test_what_was_done_to_a_text_is_named():
    pairs = tuple((pattern, replacement.replace("\\", "$")) for pattern, replacement in words.REPLACED)
    recipe = TextPreprocessing(lowercase=True, replace=pairs)
    assert from_json(recipe.to_json()) == recipe
    vocabulary = ("", "[UNK]", "a", "good", "film", "it's", "not", "the", "café", "plot", "!", "[CLS]", "[SEP]")
    text, index = "A Good film: it's NOT the café plot! unseen", words.index(vocabulary)
    right = words.encode(text, index, 24)
    assert texts.tensor_of(text, recipe, vocabulary, 24).tolist() == right.tolist()
    ids = right[right > 0].tolist()
    spaces = [index.get(word, 1) for word in text.split()]
    for fed_ids, named in [
        (right, {}),
        ([0] * (24 - len(ids)) + ids, {"padding": "before the text"}),
        ([11, *ids, 12] + [0] * (22 - len(ids)), {"special tokens": "[CLS] and [SEP]"}),
        ([i + 1 for i in ids] + [0] * (24 - len(ids)), {"ids": "+1"}),
        (spaces + [0] * (24 - len(spaces)), {"letters": "letters as they are", "split": "at white space"}),
        (right[:12], {"length": "12 ids"}),
    ]:
        stages, _, residual = texts.explain(text, np.array(fed_ids), recipe, vocabulary, 24)
        assert {k: v for k, v in stages.items() if v != texts.AS_STATED[k]} == named
        assert residual == 0


def test_what_was_done_to_word_pieces_is_named():
    text = "Crème BRÛLÉE, uneatable\u200b 中文"
    vocabulary = (*wordpiece.vocabulary([text, "creme brulee"], 99, 1), "un", "##eat", "##able", "Cr")
    index = words.index(vocabulary)
    recipe = TextPreprocessing(True, "bert", pieces="##", start=index["[CLS]"], end=index["[SEP]"])
    assert from_json(recipe.to_json()) == recipe
    for example in (text, "x" * 101, "", "a\ufffd\ue000b \U0002b900 don't"):
        right = wordpiece.encode(example, index, 16)
        assert texts.tensor_of(example, recipe, vocabulary, 16).tolist() == right.tolist()
    right = wordpiece.encode(text, index, 16)
    ids = right[right > 0].tolist()
    for fed_ids, named in [
        (right, {}),
        ([*ids[1:-1]] + [0] * (18 - len(ids)), {"special tokens": "none"}),
        (ids[:6], {"cut off": "the end and the last special token", "length": "6 ids"}),
        ([*ids[:5], ids[-1]], {"length": "6 ids"}),
    ]:
        stages, _, residual = texts.explain(text, np.array(fed_ids), recipe, vocabulary, 16)
        assert {k: v for k, v in stages.items() if v != texts.AS_STATED[k]} == named
        assert residual == 0


def test_what_was_done_to_a_row_is_named(tmp_path):
    number = {"meaning": "tensor", "low": 0.0, "high": 99.0, "missing": "NaN"}
    columns = [Tensor(name, "float32", (None,), **number) for name in ("price", "size", "age")]
    columns.append(Tensor("town", "string", (None,), "category", vocabulary=("Bonn", "Ulm")))
    (tmp_path / "x.csv").write_text("price;size;age;town\n1,5;20;;Ulm\n")
    cells = tables.read_row(tmp_path / "x.csv")
    assert tables.explain(columns, cells, {"price": 1.5, "size": 20, "age": float("nan"), "town": "Ulm"}) == {}
    found = tables.explain(columns, cells, {"price": 15, "size": 1.5, "age": 0, "town": "ulm", "x": 1})
    assert [reason.partition(", ")[2] for reason, _ in found.values()] == [
        "the decimal sign left out",
        "the value of column price",
        "in place of a missing value",
        "other letters or spaces",
        "a column that the model does not have",
    ]


def golden(tmp_path, recipe, shape):
    """Write golden files, and return the input and the rows that the feed makes of them."""
    files = []
    for i, image in enumerate(PHOTOGRAPHS[:3]):
        stream, tags = io.BytesIO(), Image.Exif()
        tags[0x0112] = (1, 6, 3)[i]
        image.save(stream, "JPEG", exif=tags)
        files.append(stream.getvalue())
    for name, content in golden_files.names(files, ["cat", "a/b", ""]).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert [path.name for path in golden_files.files_of(tmp_path).values()] == ["0_cat.jpg", "1_a_b.jpg", "2.jpg"]
    rows = np.stack([read(path, *shape, recipe.fit) for path in golden_files.files_of(tmp_path).values()])
    return Tensor("image", "float32", (None, *shape), "image", 0, 255, preprocessing=recipe), rows.astype(np.float32)


def upright(file):
    """Return the shape of the whole image as one sees it; whatever DCT scale the recipe decodes at."""
    return (*(file.size[::-1] if file.exif >= 5 else file.size), 3)


@pytest.mark.parametrize(("fit", "shape"), [("crop", (64, 96, 3)), ("pad", (28, 28, 1))])
def test_snippets_make_the_golden_tensors(tmp_path, fit, shape):
    colour = "grey" if shape[2] == 1 else "RGB"
    recipe = ImagePreprocessing("scaled", fit=fit, resize="bilinear_antialias_above_2", colour=colour)
    tensor, rows = golden(tmp_path, recipe, shape)
    found = golden_files.check(tmp_path, tensor, rows, ())
    assert [(o.language, o.files, o.problem) for o in found] == [(n, 3, None) for n in ("contract", "python", "opencv")]
    assert found[0].largest < 0.1
    assert max(o.largest for o in found) < 2  # Pillow and OpenCV decode more accurately
    sizes = [pixels.shape for pixels in golden_files.pixels_of(tmp_path, tensor).values()]
    assert sizes == [upright(ImageFile(path.read_bytes())) for path in golden_files.files_of(tmp_path).values()]
    shifted = golden_files.check(tmp_path, tensor, np.roll(rows, 1, axis=1), ())  # of a feed that does something else
    assert all("becomes another tensor than the feed made of it" in outcome.problem for outcome in shifted)


@pytest.mark.needs("chromium", "gcc")
def test_snippets_run_in_a_browser_and_in_c(tmp_path):
    recipe = ImagePreprocessing("scaled", fit="crop", resize="bilinear_antialias_above_2")
    tensor, rows = golden(tmp_path, recipe, (224, 224, 3))
    found = {o.language: o for o in golden_files.check(tmp_path, tensor, rows, (), ("javascript", "c"))}
    assert {name: o.problem for name, o in found.items()} == dict.fromkeys(("contract", "javascript", "c"))
    assert found["c"].largest < 0.5
    assert found["javascript"].largest < 2.5  # a browser has no DCT scales


def test_a_damaged_golden_file_fails_its_row(tmp_path):
    tensor, rows = golden(tmp_path, RECIPE, (32, 32, 3))
    golden_files.files_of(tmp_path)[1].write_bytes(b"\xff\xd8 no image")
    assert all(outcome.problem for outcome in golden_files.check(tmp_path, tensor, rows, ()))


MEDIAPIPE = """
import sys
sys.path.append(sys.argv[1])
import mediapipe, numpy
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.core.base_options import BaseOptions
options = vision.ImageEmbedderOptions(base_options=BaseOptions(sys.argv[2]))
image = mediapipe.Image.create_from_file(sys.argv[3])
numpy.save(sys.argv[4], vision.ImageEmbedder.create_from_options(options).embed(image).embeddings[0].embedding)
"""


@pytest.mark.extended
@pytest.mark.needs("mediapipe")
def test_how_mediapipe_resizes_is_named(tmp_path):
    import keras

    from export import export_model
    from export.contract import Contract
    from export.contract.endpoints import tensor_endpoint
    from export.runners import run_mediapipe
    from export.runners.environments import MEDIAPIPE as ENVIRONMENT

    pixels = keras.Input((64, 64, 3), name="image")  # a model that returns what it is fed
    model = keras.Model(pixels, keras.layers.Flatten(name="vector")(pixels))
    takes = Tensor("image", "float32", (None, 64, 64, 3), "image", low=0.0, high=255.0)
    gives = Tensor("vector", "float32", (None, 64 * 64 * 3))
    contract = Contract((tensor_endpoint(model, [takes], [gives], "embed", formats=("tflite",)),))
    export_model(model, tmp_path / "bundle", contract=contract, formats=("tflite",))
    data, _ = benchmark.feed(PHOTOGRAPHS[10], case(exif=6), (64, 64, 3))
    (tmp_path / "x.jpg").write_bytes(data)
    file, out = tmp_path / "bundle" / "tflite" / "float32.tflite", tmp_path / "x.npy"
    words = [ENVIRONMENT.python, "-c", MEDIAPIPE, run_mediapipe.STUBS, file, tmp_path / "x.jpg", out]
    subprocess.run([str(word) for word in words], check=True, capture_output=True, env={"PATH": "/usr/bin:/bin"})
    found = search.explain(ImageFile(data), np.load(out), (64, 64, 3), RECIPE)
    assert found.differences() == {"resize": ("bilinear_corner", "bilinear_antialias")}
    assert found.best.residual < 0.6


def test_what_is_not_written_as_code_is_refused():
    for language in LANGUAGES:
        assert "96" in snippet(IMAGE, language)
    for changes in ({"resize": "lanczos4"}, {"fit": "cut"}, {"alpha": "dropped"}, {"exif": False}, {"decoder": "half"}):
        tensor = Tensor("image", "float32", (None, 8, 8, 3), "image", preprocessing=ImagePreprocessing(**changes))
        with pytest.raises(ExportError, match="not written as code"):
            snippet(tensor, "python")
