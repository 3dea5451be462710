"""Run a TFLite file by the MediaPipe Task that its contract is for, which reads what to do from the file's metadata.

The inputs are raw: images, texts and sounds. The library preprocesses them itself, as it does on a phone.
"""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from export.protocol import runner
    from export.runners.environments import MEDIAPIPE
else:
    import runner
    from environments import MEDIAPIPE

STUBS = Path(__file__).parent / "stubs"  # empty modules in place of packages that draw and record
SCORES = ("logits", "probabilities")
wrong_names: dict[str, str] = {}  # path: label that a result has and the contract has not


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load a TFLite file as the task that its only endpoint is for."""
    if len(artifact["endpoints"]) != 1:
        raise ValueError("MediaPipe Tasks open files of one signature, and it has more")
    (endpoint,) = artifact["endpoints"]
    task = task_of(endpoint)
    if task is None:
        raise ValueError("no MediaPipe Task is for its inputs and outputs")
    sys.path.append(str(STUBS))
    return {endpoint["name"]: {"main": TASKS[task](artifact, endpoint)}}


def task_of(endpoint: dict[str, Any]) -> str | None:
    """Return the name of the MediaPipe Task for an endpoint, or None."""
    if len(endpoint["inputs"]) != 1:
        return None
    (takes,), gives = endpoint["inputs"], endpoint["outputs"]
    if len(gives) != 1 or None in takes["shape"][1:] or gives[0]["dtype"] != "float32":
        return None
    (result,) = gives
    rank, is_scores = len(result["shape"]), result["meaning"] in SCORES
    if takes["meaning"] == "image" and takes["shape"][-1] == 3:
        return {(2, True): "ImageClassifier", (4, True): "ImageSegmenter", (2, False): "ImageEmbedder"}.get(
            (rank, is_scores)
        )
    if takes["meaning"] == "token" and takes.get("delimiter") and rank == 2:
        return "TextClassifier" if is_scores else "TextEmbedder"
    if takes["meaning"] == "audio" and rank == 2 and is_scores:
        return "AudioClassifier"
    return None


# === Raw inputs ===


def _image(inputs: runner.Arrays, name: str) -> Any:
    """Return a row of pixels as an image; only integers from 0 to 255 are one."""
    import mediapipe

    pixels = inputs[name][0]
    with np.errstate(invalid="ignore"):
        whole = pixels.astype(np.uint8)
    if not np.array_equal(whole, pixels):
        raise runner.Inapplicable("pixels that are no integers from 0 to 255")
    return mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(whole))


def _text(inputs: runner.Arrays, tensor: dict[str, Any]) -> str:
    """Return a text with the token ids of a row; only rows with padding at their end have one."""
    ids, words = inputs[tensor["name"]][0], [word.split(" ")[0] for word in tensor["words"]]
    count = int(np.count_nonzero(ids))
    if ids[count:].any() or not ids[:count].all():
        raise runner.Inapplicable("padding before a word")
    letters = ("z" * n for n in itertools.count(8))
    unknown = next(word for word in letters if word not in words)
    if not all(words[i] for i in ids[:count] if i > 1):
        raise runner.Inapplicable("an id whose word is always found as another one")
    return " ".join(unknown if i == 1 else words[i] for i in ids[:count])


# === Tasks ===


def _scores(classifications: Any, artifact: dict[str, Any], tensor: dict[str, Any]) -> runner.Arrays:
    """Return the scores of one head by class, and note a name that is not the contract's."""
    values = np.full((1, tensor["shape"][-1]), np.nan, np.float32)
    for category in classifications.categories:
        values[0, category.index] = category.score
        expected = (artifact["labels"] or {category.index: ""})[category.index]
        if (category.category_name or "") != expected:
            wrong_names[artifact["path"]] = (
                f"class {category.index} is called {category.category_name!r}, not {expected!r}"
            )
    return {tensor["name"]: values}


def _vision(kind: str, **options: Any) -> Any:
    """Return a function that makes a task for images of a file."""
    from mediapipe.tasks.python import vision
    from mediapipe.tasks.python.core.base_options import BaseOptions

    def create(path: str) -> Any:
        chosen = getattr(vision, f"{kind}Options")(base_options=BaseOptions(path), **options)
        return getattr(vision, kind).create_from_options(chosen)

    return create


def _text_task(kind: str, path: str, **options: Any) -> Any:
    from mediapipe.tasks.python import text
    from mediapipe.tasks.python.core.base_options import BaseOptions

    return getattr(text, kind).create_from_options(getattr(text, f"{kind}Options")(BaseOptions(path), **options))


def image_classifier(artifact: dict[str, Any], endpoint: dict[str, Any]) -> runner.Function:
    """Return the function of an ImageClassifier."""
    task = _vision("ImageClassifier")(artifact["path"])
    name, result = endpoint["inputs"][0]["name"], endpoint["outputs"][0]
    return lambda inputs: _scores(task.classify(_image(inputs, name)).classifications[0], artifact, result)


def image_embedder(artifact: dict[str, Any], endpoint: dict[str, Any]) -> runner.Function:
    """Return the function of an ImageEmbedder."""
    task = _vision("ImageEmbedder")(artifact["path"])
    name, result = endpoint["inputs"][0]["name"], endpoint["outputs"][0]["name"]
    return lambda inputs: {result: _vector(task.embed(_image(inputs, name)))}


def image_segmenter(artifact: dict[str, Any], endpoint: dict[str, Any]) -> runner.Function:
    """Return the function of an ImageSegmenter: its confidence masks, one for each class."""
    task = _vision("ImageSegmenter", output_confidence_masks=True)(artifact["path"])
    name, result = endpoint["inputs"][0]["name"], endpoint["outputs"][0]["name"]

    def function(inputs: runner.Arrays) -> runner.Arrays:
        masks = task.segment(_image(inputs, name)).confidence_masks
        planes = [np.squeeze(mask.numpy_view().astype(np.float32)) for mask in masks]
        return {result: np.stack(planes, -1)[None]}

    return function


def text_classifier(artifact: dict[str, Any], endpoint: dict[str, Any]) -> runner.Function:
    """Return the function of a TextClassifier."""
    task = _text_task("TextClassifier", artifact["path"])
    tensor, result = endpoint["inputs"][0], endpoint["outputs"][0]
    return lambda inputs: _scores(task.classify(_text(inputs, tensor)).classifications[0], artifact, result)


def text_embedder(artifact: dict[str, Any], endpoint: dict[str, Any]) -> runner.Function:
    """Return the function of a TextEmbedder."""
    task = _text_task("TextEmbedder", artifact["path"])
    tensor, result = endpoint["inputs"][0], endpoint["outputs"][0]["name"]
    return lambda inputs: {result: _vector(task.embed(_text(inputs, tensor)))}


def audio_classifier(artifact: dict[str, Any], endpoint: dict[str, Any]) -> runner.Function:
    """Return the function of an AudioClassifier."""
    from mediapipe.tasks.python import audio
    from mediapipe.tasks.python.components.containers.audio_data import AudioData
    from mediapipe.tasks.python.core.base_options import BaseOptions

    options = audio.AudioClassifierOptions(base_options=BaseOptions(artifact["path"]))
    task = audio.AudioClassifier.create_from_options(options)
    tensor, result = endpoint["inputs"][0], endpoint["outputs"][0]

    def function(inputs: runner.Arrays) -> runner.Arrays:
        clip = AudioData.create_from_array(inputs[tensor["name"]][0].astype(np.float32), tensor["sample_rate"])
        return _scores(task.classify(clip)[0].classifications[0], artifact, result)

    return function


def _vector(result: Any) -> np.ndarray:
    return np.asarray(result.embeddings[0].embedding, np.float32)[None]


TASKS: dict[str, Callable[[dict[str, Any], dict[str, Any]], runner.Function]] = {
    "ImageClassifier": image_classifier,
    "ImageEmbedder": image_embedder,
    "ImageSegmenter": image_segmenter,
    "TextClassifier": text_classifier,
    "TextEmbedder": text_embedder,
    "AudioClassifier": audio_classifier,
}


def check(artifact: dict[str, Any], opened: runner.Opened) -> list[str]:
    """Return the first result whose name is not the label of the contract."""
    return [wrong_names[artifact["path"]]] if artifact["path"] in wrong_names else []


RUNTIME = runner.Runtime(
    "mediapipe",
    __file__,
    distribution="mediapipe",
    module="mediapipe",
    formats=("tflite",),
    open=open_artifact,
    extra=True,
    on_request=True,
    install=MEDIAPIPE.command,
    process=runner.Process(imports=("mediapipe",), installation=MEDIAPIPE),
    capabilities=runner.Capabilities(check=check),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
