# %% [markdown]
# # Masks of your own
#
# Segmentation needs a folder `images` and a folder `masks` with files of the same names; the value of a pixel of a mask
# is its class. Here the masks say where a photograph of scikit-learn is bright.

# %%
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import zoo
from zoo import train

random, photograph = np.random.default_rng(0), load_sample_image("china.jpg")
for name in ("images", "masks"):
    Path("scans", name).mkdir(parents=True, exist_ok=True)
for i in range(160):
    y, x = random.integers(0, 350, 2)
    crop = Image.fromarray(photograph[y : y + 64, x : x + 64])
    crop.save(f"scans/images/{i}.png")
    bright = np.asarray(crop.convert("L")) > 128
    Image.fromarray(bright.astype(np.uint8)).save(f"scans/masks/{i}.png")
Path("scans/classes.txt").write_text("dark\nbright\n")

# %%
settings = {"data": "mask_folder", "model.width": 8, "model.depth": 2, "recipe.epochs": 6, "recipe.batch_size": 8}
options = {"quick": True, "quantize": ("int8",), "precision": "float32"}
summary = train.run("unet", data_dir="scans", settings=settings, out="runs/scans", **options)
print(f"mean intersection over union: {summary['metrics']['mean_iou']:.2f}")
for bundle in summary["bundles"]:
    print(bundle["verdict"])
    for row in bundle["artifacts"]:
        print(f"{row['artifact']:26} {row['runtime']:12} {row['state']}")

# %% [markdown]
# `python -m zoo.predict runs/scans scans/images/0.png -o predicted/` writes a mask for each image. In Python:

# %%
(prediction,) = zoo.load("runs/scans/bundle", "tflite").predict(["scans/images/0.png"])
print(prediction.mask.shape, prediction.mask.dtype, np.unique(prediction.mask))
