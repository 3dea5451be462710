# %% [markdown]
# # Photographs of your own
#
# A folder with one sub-folder for each class is all that `flowers` needs. Here it holds forty crops of two photographs
# that come with scikit-learn, so that this page runs anywhere; put your own in their place.

# %%
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import zoo
from zoo import train

random = np.random.default_rng(0)
for name in ("china", "flower"):
    folder = Path("photos", name)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(20):
        y, x = random.integers(0, 250, 2)
        Image.fromarray(load_sample_image(f"{name}.jpg")[y : y + 160, x : x + 160]).save(folder / f"{i}.jpg")
print(sorted(path.name for path in Path("photos").iterdir()), len(list(Path("photos").rglob("*.jpg"))), "photographs")

# %% [markdown]
# The features of the pretrained backbone are computed once, and a classifier is trained on them; it stops when the
# validation does not improve. `quick=True` exports the SavedModel and TFLite only, each proven in a process of its own.

# %%
summary = train.run("flowers", data_dir="photos", settings={"recipe.epochs": 8}, out="runs/photos", quick=True)
print(f"test accuracy: {summary['metrics']['accuracy']:.2f}; the data is called {summary['data']}")
for bundle in summary["bundles"]:
    print(bundle["verdict"])
    for row in bundle["artifacts"]:
        print(f"{row['artifact']:26} {row['runtime']:12} {row['state']}")

# %% [markdown]
# `python -m zoo.train flowers --data-dir photos --quick` is the same on the command line. The bundle predicts without
# the code of the model.

# %%
predictor = zoo.load("runs/photos/bundle", "tflite")
print(predictor.endpoints)
(prediction,) = predictor.predict(["photos/flower/0.jpg"], top_k=1)
print(prediction.rows[0]["label"])
