"""python -m docs.model_figures [NAME...]: what the pages of models with trained weights show, into docs/model_figures/.

For each model: figures of the test split, an answer or a sample, and the rows of the certificate of its bundle.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import click

from zoobase import console as shell
from zoobase.console import Console

HERE = Path(__file__).parent / "model_figures"
FACTS = "facts.json"
FIGURES = 2  # of each model
ASKED = {  # model: inputs whose answers are shown
    "attention": ["the 3rd of May 1997", "Tuesday, 12 Sep 2023"],
    "grapheme_to_phoneme": ["Keras", "TensorFlow"],
    "sentiment": ["A moving and beautiful film.", "Two hours that I will not get back."],
    "word2vec": ["king", "film"],
}
PICTURED = ("style_transfer", "style_transfer_casa_mila")  # models that are shown with a photograph of scikit-image
SHOWN = {  # name of a figure: what it shows
    "a2b": "Test images of {name} in rows: images of set A, their translations to set B, and back again",
    "attention": "Attention weights of {name} for some test examples: input across, steps of the output down",
    "b2a": "Test images of {name} in rows: images of set B, their translations to set A, and back again",
    "boxes": "Test images of {name} with the true boxes, and with the predicted boxes",
    "calibration": "Calibration of {name} on the test split: accuracy by confidence, and the diagonal",
    "confusion_matrix": "Confusion matrix of {name} on the test split: true class by predicted class",
    "context": "Bits per token of {name} by the number of tokens read before",
    "curves": "Learning curves of {name}: loss and metrics by epoch, training and validation",
    "interpolations": "Images that {name} generates from latent vectors between two random ones, a pair a row",
    "latent_space": "Codes of the test images of {name} in two dimensions, coloured by class",
    "overlays": "Test images of {name}, their true masks and the predicted masks, coloured by class",
    "photograph": "Left a photograph of a cat, right the same photograph stylised by {name}",
    "predicted_and_actual": "Predicted and actual values of {name} over the time of the test split",
    "reconstructions": "Test images of {name} in rows: originals and their reconstructions",
    "roc": "ROC curve of {name} on the test split: sensitivity by 1 - specificity",
    "samples": "Images that {name} generates from random latent vectors, and real images below",
    "style": "The image whose style {name} has learnt",
    "stylised": "Test photographs of {name} in rows: the photograph, stylised by the model, by optimisation (Gatys)",
    "translations": "Test images of {name} in rows: input, generated output and true output",
    "words": "Word vectors of {name} in two dimensions (PCA): some words with three neighbours of each",
}
SAMPLE = {"prompt": "HAMLET:", "length": 400, "temperature": 0.7}
WRITTEN = {"text_rnn": SAMPLE, "text_transformer": SAMPLE}  # model: options of its sample


def write(name: str, folder: Path, console: Console) -> None:
    """Write the figures and facts of a model with default weights to a folder, which is replaced."""
    import zoo
    from zoo import evaluate, export, weights
    from zoo.core.plan import make_plan

    console.print(f"evaluating {name}")
    plan = make_plan(name, settings={"data": weights.description(name)["info"]["name"]})
    evaluation = evaluate.evaluate_split(plan, zoo.build(name, weights="default"), plan.load_data(), "test")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    history = weights.description(name).get("history", [])
    names = evaluate.write_figures(plan, evaluation, history, folder, FIGURES)
    names = [*_pictures(name, folder), *names]
    with tempfile.TemporaryDirectory() as scratch:
        console.print(f"exporting {name}")
        bundles = export.run(name, out=Path(scratch) / name)
    rows = [row for bundle in bundles for row in bundle["artifacts"] if row["state"] == "pass"]
    rows = [row for row in rows if row["max_error"] is not None]  # rows of inputs have none
    kept = ("artifact", "runtime", "max_error", "bytes")
    facts = {"figures": names, "rows": [{key: row[key] for key in kept} for row in rows], "answers": _answers(name)}
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _answers(name: str) -> list[dict[str, Any]]:
    """Return [{"command", "text"}]: what the model answers, or what it writes."""
    from zoo import sample
    from zoo.prediction import predictor

    if name in ASKED:
        opened = predictor.load(name)
        return [
            {
                "command": f'python -m zoo.predict {name} "{text}"',
                "text": "\n".join("  ".join(map(_cell, list(row.values())[1:])) for row in answer.rows),
            }
            for text, answer in zip(ASKED[name], opened.predict(ASKED[name]), strict=True)
        ]
    if options := WRITTEN.get(name):
        text = options["prompt"] + sample.run(name, options=options, seed=0).rows[0]["text"]
        flags = " ".join(f'--{key} "{value}"' for key, value in options.items())
        return [{"command": f"python -m zoo.sample {name} {flags} --seed 0", "text": text}]
    return []


def _pictures(name: str, folder: Path) -> list[str]:
    """Write a photograph beside what the model makes of it, and return the name of the figure."""
    import numpy as np
    import skimage
    from PIL import Image

    from zoo.evaluation import images
    from zoo.prediction import predictor

    if name not in PICTURED:
        return []
    file = Path(skimage.__file__).parent / "data" / "chelsea.png"
    (answer,) = predictor.load(name).predict([str(file)])
    Image.fromarray(np.concatenate([images.read(str(file)), answer.image], axis=1)).save(folder / "photograph.png")
    return ["photograph"]


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@click.command("model_figures")
@click.argument("names", nargs=-1, metavar="[NAME...]")
def main(names: tuple[str, ...]) -> None:
    """Write the figures, answers and certificates of all models with trained weights, or of some."""
    from zoo import weights
    from zoo.core import environment

    environment.prepare()
    for name in names or weights.shipped_models():
        write(name, HERE / name, Console())


if __name__ == "__main__":
    shell.run(main, prog="python -m docs.model_figures")
