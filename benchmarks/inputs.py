"""python -m benchmarks.inputs: seeded mistakes in preprocessing, made by the libraries themselves, and what is named.

Each case takes a photograph, a size of the model, and one to three mistakes: another resize method, order of channels,
scale, layout, crop, orientation or decoder, by Pillow, OpenCV, TensorFlow or scikit-image. `explain` gets the file and
the tensor. A stage is right if its value is the one that was used, or among those that `explain` says give the same.
"""

from __future__ import annotations

import io
import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from PIL import Image, ImageOps
from scipy import signal
from scipy.io import wavfile

from export.contract.preprocessing import ImagePreprocessing
from export.inputs.images import ImageFile
from export.inputs.search import SCALES, explain
from zoobase import console as shell
from zoobase.console import Console

RESULTS = Path(__file__).with_name("inputs.json")
SIZES = ((224, 224, 3), (224, 224, 3), (96, 96, 3), (160, 120, 3), (28, 28, 1))
STAGES = ("layout", "orientation", "fit", "share", "fill", "resize", "colour", "scale", "decoder")
METHODS: dict[str, tuple[str, Callable[[np.ndarray, int, int], np.ndarray]]] = {}


def _pillow(method: int) -> Callable[[np.ndarray, int, int], np.ndarray]:
    return lambda image, h, w: np.asarray(Image.fromarray(image).resize((w, h), method))


def _opencv(method: int) -> Callable[[np.ndarray, int, int], np.ndarray]:
    return lambda image, h, w: cv2.resize(np.ascontiguousarray(image), (w, h), interpolation=method)


def _tensorflow(method: str, antialias: bool) -> Callable[[np.ndarray, int, int], np.ndarray]:
    def call(image: np.ndarray, h: int, w: int) -> np.ndarray:
        import tensorflow as tf

        return tf.image.resize(image, (h, w), method, antialias=antialias).numpy()

    return call


def _legacy(**options: bool) -> Callable[[np.ndarray, int, int], np.ndarray]:
    def call(image: np.ndarray, h: int, w: int) -> np.ndarray:
        import tensorflow as tf

        return tf.raw_ops.ResizeBilinear(images=image[None], size=(h, w), **options)[0].numpy()

    return call


def _scikit_image(image: np.ndarray, h: int, w: int) -> np.ndarray:
    from skimage.transform import resize

    return resize(image, (h, w), order=1, anti_aliasing=True) * 255


for name, method in (
    *(("bilinear_antialias", 2), ("bicubic_antialias", 3), ("lanczos3_antialias", 1), ("box", 4), ("hamming", 5)),
    ("nearest_summed", 0),
):
    METHODS[f"Pillow {name}"] = name, _pillow(method)
for name, method in (
    *(("bilinear", cv2.INTER_LINEAR), ("bicubic_075", cv2.INTER_CUBIC), ("area", cv2.INTER_AREA)),
    *(("lanczos4", cv2.INTER_LANCZOS4), ("nearest_corner", cv2.INTER_NEAREST)),
):
    METHODS[f"OpenCV {name}"] = name, _opencv(method)
for name, method, antialias in (
    *(("bilinear", "bilinear", False), ("bilinear_antialias", "bilinear", True), ("bicubic", "bicubic", False)),
    *(("nearest", "nearest", False), ("area", "area", False), ("bicubic_antialias", "bicubic", True)),
    *(("lanczos5_antialias", "lanczos5", True), ("mitchell_antialias", "mitchellcubic", True)),
):
    METHODS[f"TensorFlow {name}"] = name, _tensorflow(method, antialias)
METHODS["TensorFlow 1 bilinear_corner"] = "bilinear_corner", _legacy()
METHODS["TensorFlow 1 bilinear_corners"] = "bilinear_corners", _legacy(align_corners=True)
METHODS["scikit-image blur_bilinear"] = "blur_bilinear", _scikit_image


def photographs() -> list[Image.Image]:
    """Return 20 photographs of scikit-image, scikit-learn, Matplotlib and two Debian packages."""
    import matplotlib
    import sklearn.datasets
    from skimage import data

    import pipelines

    (folder,) = data.__path__
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "retina.jpg", "ihc.png")
    files = [Path(folder) / name for name in names]
    files += [Path(sklearn.datasets.__path__[0]) / "images" / name for name in ("china.jpg", "flower.jpg")]
    files.append(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    images = [Image.open(file).convert("RGB") for file in files]
    wallpapers = pipelines.load("wallpapers")
    for example in wallpapers["train"].take(20 - len(images)).as_numpy_iterator():
        image = Image.open(io.BytesIO(example["image"])).convert("RGB")
        image.thumbnail((1600, 1600))
        images.append(image)
    return images


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """Return what an application does: the contract's way, with one to three mistakes."""
    case = {"method": None, "colour": "RGB", "scale": "0 to 255", "layout": "NHWC", "fit": "stretch", "share": 1.0}
    case |= {"exif": 1, "ignores_exif": False, "flipped": False, "decoder": "accurate", "fill": 0}
    for mistake in rng.choice(
        ["method", "colour", "scale", "layout", "fit", "exif", "flipped", "decoder"],
        int(rng.integers(1, 4)),
        replace=False,
    ):
        if mistake == "method":
            case["method"] = str(rng.choice(list(METHODS)))
        elif mistake == "colour":
            case["colour"] = "BGR"
        elif mistake == "scale":
            case["scale"] = str(rng.choice(list(SCALES)[1:]))
        elif mistake == "layout":
            case["layout"] = str(rng.choice(["NCHW", "NCHW read as NHWC"]))
        elif mistake == "fit":
            fits = ("crop", 1.0, 0), ("crop", 0.875, 0), ("resize_crop", 0.875, 0), ("pad", 1.0, 0), ("pad", 1.0, 114)
            case["fit"], case["share"], case["fill"] = (*fits, ("pad_corner", 1.0, 0))[rng.integers(6)]
        elif mistake == "exif":
            case["exif"], case["ignores_exif"] = int(rng.choice([3, 6, 8])), True
        elif mistake == "flipped":
            case["flipped"] = True
        else:
            case["decoder"] = "fast"
    if case["exif"] == 1 and rng.random() < 0.3:
        case["exif"] = int(rng.choice([3, 6, 8]))
    return case


def feed(image: Image.Image, case: dict[str, Any], size: tuple[int, int, int]) -> tuple[bytes, np.ndarray]:
    """Return the file, and the tensor that an application makes of it by its libraries."""
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = case["exif"]
    image.save(stream, "JPEG", quality=92, exif=exif)
    data = stream.getvalue()
    if case["decoder"] == "fast":
        import tensorflow as tf

        opened = Image.fromarray(tf.io.decode_jpeg(data, 3).numpy())
        if not case["ignores_exif"]:
            opened.getexif()[0x0112] = case["exif"]
            opened = ImageOps.exif_transpose(opened)
    else:
        opened = Image.open(io.BytesIO(data))
        opened = opened if case["ignores_exif"] else ImageOps.exif_transpose(opened)
    pixels = np.asarray(opened.convert("RGB"))
    if case["flipped"]:
        pixels = pixels[:, ::-1]
    resize = METHODS[case["method"] or "Pillow bilinear_antialias"][1]
    resized = np.asarray(_fitted(pixels, size, case, resize), np.float64)
    if size[2] == 1:
        resized = np.rint(resized @ [0.299, 0.587, 0.114])[..., None]
    elif case["colour"] == "BGR":
        resized = resized[..., ::-1]
    scale, offset = SCALES[case["scale"]]
    tensor = (resized * np.array(scale) + np.array(offset)).astype(np.float32)
    if case["layout"] == "NCHW":
        tensor = tensor.transpose(2, 0, 1)
    elif case["layout"] != "NHWC":
        tensor = tensor.transpose(2, 0, 1).reshape(tensor.shape)
    return data, tensor


def _fitted(pixels: np.ndarray, size: tuple[int, int, int], case: dict[str, Any], resize: Callable) -> np.ndarray:
    height, width = pixels.shape[:2]
    h, w, _ = size
    fit, share = case["fit"], case["share"]
    if fit == "stretch":
        return resize(pixels, h, w)
    if fit == "crop":
        scale = min(height / h, width / w) * share
        a, b = round(scale * h), round(scale * w)
        top, left = (height - a) // 2, (width - b) // 2
        return resize(pixels[top : top + a, left : left + b], h, w)
    if fit == "resize_crop":
        shorter = round((h if height / h <= width / w else w) / share)
        ratio = shorter / (height if height / h <= width / w else width)
        a, b = int(height * ratio + 1e-9), int(width * ratio + 1e-9)
        resized = resize(pixels, a, b)
        top, left = round((a - h) / 2.0), round((b - w) / 2.0)
        return resized[top : top + h, left : left + w]
    scale = max(height / h, width / w)
    a, b = max(1, round(height / scale)), max(1, round(width / scale))
    canvas = np.full((h, w, 3), case["fill"], np.float64)
    top, left = ((h - a) // 2, (w - b) // 2) if fit == "pad" else (0, 0)
    canvas[top : top + a, left : left + b] = resize(pixels, a, b)
    return canvas


def truth(case: dict[str, Any], upright: tuple[int, int], size: tuple[int, int, int]) -> dict[str, Any]:
    """Return the stages of a case in the words of `explain`; fits that mean the same have the first one's name."""
    if upright[0] * size[1] == upright[1] * size[0] and case["share"] == 1:
        case = case | {"fit": "stretch", "fill": 0}
    turned = 1 if case["ignores_exif"] else case["exif"]
    flipped = {1: 2, 3: 4, 6: 5, 8: 7}  # an upright image flipped left to right, of a file stored like this
    return {
        "layout": case["layout"],
        "orientation": flipped[turned] if case["flipped"] else turned,
        "fit": case["fit"],
        "share": case["share"],
        "fill": float(case["fill"]),
        "resize": METHODS[case["method"] or "Pillow bilinear_antialias"][0],
        "colour": case["colour"],
        "scale": case["scale"],
        "decoder": case["decoder"],
    }


def run(cases: int, seed: int, console: Console) -> dict[str, Any]:
    """Return shares of stages and cases that are named right, the confusions, and the seconds of a call."""
    rng, images = np.random.default_rng(seed), photographs()
    stages: dict[str, Counter] = {name: Counter() for name in STAGES}
    confusions: Counter = Counter()
    whole, seconds, wrong = Counter(), [], []
    expected = ImagePreprocessing(resize="bilinear_antialias", decoder="accurate")
    for number in range(cases):
        size, case = SIZES[rng.integers(len(SIZES))], draw(rng)
        if size[2] == 1:
            case |= {"colour": "RGB", "layout": "NHWC"}
            case["scale"] = case["scale"] if len(SCALES[case["scale"]][0]) == 1 else "0 to 1 (divided by 255)"
            case["scale"] = case["scale"] if len(SCALES[case["scale"]][1]) == 1 else "0 to 255"
        index = number % len(images)
        data, tensor = feed(images[index], case, size)
        started = time.perf_counter()
        recipe = expected if size[2] == 3 else ImagePreprocessing(resize="bilinear_antialias", colour="grey")
        found = explain(ImageFile(data), tensor, size, recipe)
        seconds.append(time.perf_counter() - started)
        sides = images[index].size[::-1]
        upright = sides[::-1] if case["exif"] >= 5 and not case["ignores_exif"] else sides
        true, verdicts = truth(case, upright, size), []
        named = found.best.stages()
        if size[2] == 1:
            true["colour"] = "grey"
        for stage in STAGES:
            value, given = true[stage], named[stage]
            similar = str(value) in found.similar.get(stage, ())
            verdict = "named" if given == value else "inseparable" if similar else "wrong"
            verdicts.append(verdict)
            stages[stage][verdict] += 1
            if verdict == "wrong":
                confusions[f"{stage}: {value} -> {given}"] += 1
        result = "wrong" if "wrong" in verdicts else "inseparable" if "inseparable" in verdicts else "named"
        whole[result] += 1
        if result == "wrong":
            wrong.append(
                {"photograph": index, "size": size, "case": case, "named": named, "residual": found.best.residual}
            )
        if number % 20 == 19:
            console.print(f"{number + 1} cases: {dict(whole)}, {np.median(seconds):.1f} s a call")
    return {
        "cases": cases,
        "photographs": len(images),
        "whole": dict(whole),
        "stages": {name: dict(counts) for name, counts in stages.items()},
        "confusions": dict(confusions.most_common()),
        "seconds": {"median": float(np.median(seconds)), "largest": float(np.max(seconds))},
        "wrong": wrong,
    }


def prompts() -> list[tuple[int, np.ndarray]]:
    """Return rate and samples of each recording of the Debian package asterisk-core-sounds-en-wav."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "download", "-qq", "asterisk-core-sounds-en-wav"], cwd=folder, check=True)
        subprocess.run(["dpkg", "-x", next(Path(folder).glob("*.deb")), folder], check=True)
        return [wavfile.read(path) for path in sorted(Path(folder).rglob("*.wav"))]


def run_sounds(cases: int, seed: int) -> dict[str, Any]:
    """Return how often what was done to a recording is named: Debian's voice prompts, two of them as stereo."""
    from export.contract.preprocessing import SoundPreprocessing
    from export.inputs import sounds

    rng, recordings = np.random.default_rng(seed), prompts()
    recipe, rate, length, verdicts, wrong = SoundPreprocessing(window="loudest"), 16000, 16000, Counter(), Counter()
    resamplers: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
        "filtered": lambda x, own: sounds.resample(x, own, rate, "filtered"),
        "fourier": lambda x, own: signal.resample(x, round(len(x) * rate / own)),
        "linear": lambda x, own: np.interp(np.arange(round(len(x) * rate / own)) * own / rate, np.arange(len(x)), x),
        "nearest": lambda x, own: x[
            np.minimum((np.arange(round(len(x) * rate / own)) * own / rate).astype(int), len(x) - 1)
        ],
        "none": lambda x, own: x,
    }
    while verdicts.total() < cases:
        (own, one), (_, other) = (recordings[rng.integers(len(recordings))] for _ in range(2))
        size = min(len(one), len(other))
        if size < 1.5 * own or np.abs(one[:size]).max() < 500 or np.abs(other[:size]).max() < 500:
            continue
        stream = io.BytesIO()
        wavfile.write(stream, own, np.stack([one[:size], other[:size]], 1))
        samples = np.stack([one[:size], other[:size]], 1) / 2.0**15
        true = {"channels": str(rng.choice(["mean", "first", "second", "interleaved"]))}
        true |= {"resample": str(rng.choice(list(resamplers))), "scale": str(rng.choice(list(sounds.SCALES)))}
        true["window"] = str(rng.choice(["loudest", "first", "middle", "last"]))
        mono = {"mean": samples.mean(1), "interleaved": samples.reshape(-1)}
        mono |= {"first": samples[:, 0], "second": samples[:, 1]}
        x = resamplers[true["resample"]](mono[true["channels"]], own).astype(np.float32)
        start = max(0, sounds.window(x, length, true["window"]))
        x = np.pad(x[start : start + length], (0, max(0, length - len(x[start : start + length]))))
        found = sounds.explain(stream.getvalue(), x * sounds.SCALES[true["scale"]], rate, length, recipe)
        _count(true, *found[:2], verdicts, wrong)
    return {"cases": cases, "whole": dict(verdicts), "confusions": dict(wrong)}


def run_texts(cases: int, seed: int) -> dict[str, Any]:
    """Return how often what was done to a film review before it became token ids is named."""
    import pipelines
    from export.contract.preprocessing import TextPreprocessing
    from export.inputs import texts
    from pipelines.text import words

    rng = np.random.default_rng(seed)
    reviews = [row["text"].decode() for row in pipelines.load("movie_reviews")["test"].take(1000).as_numpy_iterator()]
    vocabulary = (*words.vocabulary(reviews, 4000), "[CLS]", "[SEP]")
    pairs = tuple((pattern, replacement.replace("\\", "$")) for pattern, replacement in words.REPLACED)
    recipe, length, verdicts, wrong = TextPreprocessing(lowercase=True, replace=pairs), 48, Counter(), Counter()
    index = {word: i for i, word in enumerate(vocabulary)}
    for _ in range(cases):
        text = reviews[rng.integers(len(reviews))].capitalize()
        true = dict(texts.AS_STATED)
        true["split"] = str(rng.choice(["as stated", *texts.SPLITS]))
        true["letters"] = "as stated" if true["split"] == "as stated" else str(rng.choice(list(texts.CASES)[1:]))
        true["padding"] = str(rng.choice(texts.PADDINGS))
        true["special tokens"] = str(rng.choice(["as stated", "[CLS] and [SEP]"]))
        true["ids"] = str(rng.choice(["as stated", "+1", "-1"]))
        if true["split"] == "as stated":
            tokens = words.split(text)
        else:
            tokens = texts.SPLITS[true["split"]](texts.CASES[true["letters"]](text))
        ids = [index.get(token, 1) for token in tokens]
        ids = [index["[CLS]"], *ids, index["[SEP]"]] if true["special tokens"] != "as stated" else ids
        ids = [i + {"as stated": 0, "+1": 1, "-1": -1}[true["ids"]] for i in ids][:length]
        rest = [0] * (length - len(ids))
        ids = ids + rest if true["padding"] == texts.PADDINGS[0] else rest + ids
        _count(true, *texts.explain(text, np.array(ids), recipe, vocabulary, length)[:2], verdicts, wrong)
    return {"cases": cases, "whole": dict(verdicts), "confusions": dict(wrong)}


def _count(true: dict, named: dict, similar: dict, verdicts: Counter, wrong: Counter) -> None:
    """Count whether all stages are named, or some only among those that give the same, or one is wrong."""
    apart = {stage: value for stage, value in true.items() if named[stage] != value}
    missed = {stage: value for stage, value in apart.items() if str(value) not in similar.get(stage, ())}
    verdicts["wrong" if missed else "inseparable" if apart else "named"] += 1
    wrong.update(f"{stage}: {value} -> {named[stage]}" for stage, value in missed.items())


@click.command("inputs")
@click.option("--cases", type=click.IntRange(1), default=300, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=RESULTS)
@shell.common_options
def main(cases: int, seed: int, out: Path, console: Console) -> None:
    """Write benchmarks/inputs.json."""
    result = run(cases, seed, console) | {"sounds": run_sounds(cases, seed), "texts": run_texts(cases, seed)}
    out.write_text(json.dumps(result, indent=1, default=str) + "\n")
    console.print(f"{result['whole']}; {result['stages']}")
    console.result(result)


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks.inputs")
