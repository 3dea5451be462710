"""`python ask_tasks.py STUBS TASK FILE INPUTS OUT`: ask a MediaPipe Task raw inputs by its plain API.

INPUTS is a .npy file of images uint8 (N, H, W, 3) or of sounds float32 (N, samples) at 16 kHz, or a JSON list of texts.
"""

import json
import sys
from pathlib import Path

import numpy as np


def main(stubs, task, file, inputs, out):
    sys.path.append(stubs)
    import mediapipe
    from mediapipe.tasks.python import audio, text, vision
    from mediapipe.tasks.python.components.containers.audio_data import AudioData
    from mediapipe.tasks.python.core.base_options import BaseOptions

    library = {"I": vision, "T": text, "A": audio}[task[0]]
    more = {"output_confidence_masks": True} if task == "ImageSegmenter" else {}
    options = getattr(library, f"{task}Options")(base_options=BaseOptions(file), **more)
    opened = getattr(library, task).create_from_options(options)
    raw = json.loads(Path(inputs).read_text()) if inputs.endswith("json") else np.load(inputs)
    names = {}

    def scores(result):
        categories = result.classifications[0].categories
        names.update((category.index, category.category_name) for category in categories)
        return [category.score for category in sorted(categories, key=lambda c: c.index)]

    def answer(value):
        if library is vision:
            value = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(value))
        if task == "AudioClassifier":
            return scores(opened.classify(AudioData.create_from_array(value, 16000))[0])
        if task.endswith("Classifier"):
            return scores(opened.classify(value))
        if task.endswith("Embedder"):
            return opened.embed(value).embeddings[0].embedding
        return np.stack([np.squeeze(mask.numpy_view()) for mask in opened.segment(value).confidence_masks], -1)

    np.save(out, np.array([answer(value) for value in raw], np.float32))
    Path(out).with_suffix(".json").write_text(json.dumps([names[i] for i in sorted(names)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
