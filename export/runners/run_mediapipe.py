"""Run a TFLite file by the MediaPipe Task that its contract is for, which reads what to do from the file's metadata.

The inputs are raw: images, texts and sounds. The library preprocesses them itself, as it does on a phone.
"""

import itertools
import sys
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
    return {endpoint["name"]: {"main": _open(task, artifact, endpoint)}}


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


def _image(pixels: np.ndarray, tensor: dict[str, Any]) -> Any:
    """Return a row of pixels as an image; only integers from 0 to 255 are one."""
    import mediapipe

    with np.errstate(invalid="ignore"):
        whole = pixels.astype(np.uint8)
    if not np.array_equal(whole, pixels):
        raise runner.Inapplicable("pixels that are no integers from 0 to 255")
    return mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(whole))


def _text(ids: np.ndarray, tensor: dict[str, Any]) -> str:
    """Return a text with the token ids of a row; only rows with padding at their end have one."""
    words, count = [word.split(" ")[0] for word in tensor["words"]], int(np.count_nonzero(ids))
    if ids[count:].any() or not ids[:count].all():
        raise runner.Inapplicable("padding before a word")
    letters = ("z" * n for n in itertools.count(8))
    unknown = next(word for word in letters if word not in words)
    if not all(words[i] for i in ids[:count] if i > 1):
        raise runner.Inapplicable("an id whose word is always found as another one")
    return " ".join(unknown if i == 1 else words[i] for i in ids[:count])


def _sound(samples: np.ndarray, tensor: dict[str, Any]) -> Any:
    """Return a row of samples as a clip."""
    from mediapipe.tasks.python.components.containers.audio_data import AudioData

    return AudioData.create_from_array(samples.astype(np.float32), tensor["sample_rate"])


# === Tasks ===

RAW = {"Image": _image, "Text": _text, "Audio": _sound}  # beginning of the name of a task: how it is given a row
CALLS = {"Classifier": "classify", "Embedder": "embed", "Segmenter": "segment"}  # its end: the method


def _open(kind: str, artifact: dict[str, Any], endpoint: dict[str, Any]) -> runner.Function:
    """Return the function of a task for a file: scores of classes, a vector, or a mask of each class."""
    from mediapipe.tasks.python import audio, text, vision
    from mediapipe.tasks.python.core.base_options import BaseOptions

    (takes,), (gives,) = endpoint["inputs"], endpoint["outputs"]
    start, raw = next(item for item in RAW.items() if kind.startswith(item[0]))
    module, call = {"Image": vision, "Text": text, "Audio": audio}[start], CALLS[kind.removeprefix(start)]
    options = {"output_confidence_masks": True} if call == "segment" else {}
    chosen = getattr(module, f"{kind}Options")(base_options=BaseOptions(artifact["path"]), **options)
    run = getattr(getattr(module, kind).create_from_options(chosen), call)

    def function(inputs: runner.Arrays) -> runner.Arrays:
        result = run(raw(inputs[takes["name"]][0], takes))
        if call == "classify":
            return {gives["name"]: _scores((result[0] if start == "Audio" else result).classifications[0])}
        if call == "embed":
            return {gives["name"]: np.asarray(result.embeddings[0].embedding, np.float32)[None]}
        planes = [np.squeeze(mask.numpy_view().astype(np.float32)) for mask in result.confidence_masks]
        return {gives["name"]: np.stack(planes, -1)[None]}

    def _scores(head: Any) -> np.ndarray:
        """Return the scores of one head by class, and note a name that is not the contract's."""
        values = np.full((1, gives["shape"][-1]), np.nan, np.float32)
        for category in head.categories:
            values[0, category.index] = category.score
            expected = (artifact["labels"] or {category.index: ""})[category.index]
            if (category.category_name or "") != expected:
                wrong_names[artifact["path"]] = (
                    f"class {category.index} is called {category.category_name!r}, not {expected!r}"
                )
        return values

    return function


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
