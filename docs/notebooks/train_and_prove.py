# %% [markdown]
# # Train, look, prove
#
# A dense network on the 1,797 digits of scikit-learn: one call trains, evaluates on the test split, exports and
# verifies.

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import export
import pipelines
import zoo
from zoo import train

digits = load_digits()  # images (1797, 8, 8) in [0, 16]
images = (digits.images * 15).astype("uint8")
data = pipelines.from_arrays(images, digits.target, split="70/15/15", name="digits_in_memory")
print(data.info.counts)

# %% [markdown]
# The run folder holds the weights, the curves, the figures and the bundle. `settings` names fields of the recipe.

# %%
summary = train.run("mnist", dataset=data, settings={"recipe.epochs": 12}, precision="float32", out="runs/digits")
print(f"test accuracy: {summary['metrics']['accuracy']:.2f}")

# %%
# Figure: Learning curves by epoch, and the confusion matrix of the test split
run = Path("runs/digits")
figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
for axis, name in zip(axes, ("curves", "confusion_matrix"), strict=True):
    axis.imshow(plt.imread(run / "figures" / f"{name}.png"))
    axis.axis("off")
plt.show()

# %% [markdown]
# Each file of the bundle was loaded in a new process that does not have the code of the model, and was compared with
# the model in memory. The certificate has a row for every file and runtime.

# %%
certificate = export.Certificate.from_json(json.loads((run / "bundle" / "parity.json").read_text()))
for row in certificate.rows:
    print(f"{row.artifact:28} {row.runtime or '':10} {row.state}")
print(certificate.verdict)

# %% [markdown]
# The bundle answers in any runtime; here LiteRT, without Keras.

# %%
# Figure: Eight digits, each with the class and the probability that the TFLite file gives
predictor = zoo.load("runs/digits/bundle", "tflite")
chosen = np.random.default_rng(0).choice(len(images), 8, replace=False)
predictions = predictor.predict(images[chosen][..., None], top_k=1)
figure, axes = plt.subplots(1, 8, figsize=(12, 2), layout="constrained")
for axis, i, prediction in zip(axes, chosen, predictions, strict=True):
    axis.imshow(images[i], cmap="gray_r")
    axis.set_title(f"{prediction.rows[0]['label']}: {prediction.rows[0]['probability']:.2f}")
    axis.axis("off")
plt.show()
