# %% [markdown]
# # Texts of your own
#
# Which library does a docstring belong to? Documentation that is installed here, one label a library; `sentiment` is
# the zoo's text classifier.

# %%
import inspect
import types

import keras
import numpy as np

import pipelines
import zoo
from zoo import train


def docstrings(module: types.ModuleType) -> list[str]:
    """Return the first paragraphs of the docstrings of a module."""
    texts = [inspect.getdoc(value) or "" for name, value in vars(module).items() if not name.startswith("_")]
    return sorted({text.split("\n\n")[0].replace("\n", " ") for text in texts if len(text) > 40})


sources = {"numpy": [np, np.linalg, np.fft], "keras": [keras.layers, keras.ops, keras.losses, keras.metrics]}
texts, labels = [], []
for label, modules in sources.items():
    found = [text for module in modules for text in docstrings(module) if label not in text.lower()]
    texts += found
    labels += [label] * len(found)
print(len(texts), "docstrings;", texts[0])

# %%
data = pipelines.from_arrays(texts, labels, split="60/20/20", name="docstrings")
settings = {"recipe.epochs": 20}
summary = train.run("sentiment", dataset=data, settings=settings, precision="float32", out="runs/texts", export=False)
share = max(labels.count(label) for label in sources) / len(labels)
print(f"test accuracy: {summary['metrics']['accuracy']:.2f}; the more frequent library: {share:.2f}")

# %% [markdown]
# Words that weighed are those whose removal changes the probability most. `export=False` left the bundle out; `python
# -m zoo.export runs/texts` makes it, with a SavedModel that takes the text as a string.

# %%
predictor = zoo.load("runs/texts")
for text in (
    "Return the eigenvalues of a Hermitian matrix.",
    "Computes the mean of squared errors between labels and predictions.",
):
    (answer,) = predictor.predict([text], top_k=1)[0].rows
    print(f"{answer['label']} {answer['probability']:.2f}", *(word["word"] for word in answer["words"]))
