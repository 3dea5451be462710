# %% [markdown]
# # From a table to a server
#
# A table of wines: 13 measurements, three cultivars. The training is compared with gradient boosting on the same
# rows, and the bundle takes named columns.

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine

import export
import pipelines
from zoo import train

wine = load_wine(as_frame=True)
names = list(wine.target_names)
data = pipelines.from_arrays(wine.data, wine.target, class_names=names, split="60/20/20", name="wine")
print(data.info.counts)
print(wine.data.iloc[:3, :5])

# %%
summary = train.run("table", dataset=data, settings={"recipe.epochs": 40}, precision="float32", out="runs/wine")
for name, value in summary["metrics"].items():
    if isinstance(value, float):
        print(f"{name:30} {value:.3f}")

# %%
# Figure: Learning curves of the wine classifier by epoch, training and validation
plt.figure(figsize=(6, 4), layout="constrained")
plt.imshow(plt.imread("runs/wine/figures/curves.png"))
plt.axis("off")
plt.show()

# %% [markdown]
# The signature of the SavedModel has one input a column, so a client sends the row as it is; the request below is
# what TF Serving takes at `/v1/models/wine:predict`.

# %%
bundle = export.load("runs/wine/bundle", "saved_model")
row = {name: [float(value)] for name, value in wine.data.iloc[0].items()}
columns = [tensor.name for tensor in bundle.contract["serving_default"].inputs]
outputs = bundle["serving_default"](**dict(zip(columns, row.values(), strict=True)))
print({key: value.tolist() for key, value in outputs.items()})
request = json.loads(next(Path("runs/wine/bundle/golden/rest").glob("*.json")).read_text())
print(json.dumps(request)[:200], "...")
