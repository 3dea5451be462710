# %% [markdown]
# # Features for scikit-learn
#
# A trained network is a feature extractor for other data. This one was trained on clothes; here scikit-learn learns
# handwritten digits, which the network has never seen, from 100 labels.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import zoo

digits = load_digits()
resized = keras.ops.image.resize(digits.images[..., None] * 15, (28, 28), interpolation="bilinear")
images = np.asarray(resized).round().astype("uint8")
train, test = train_test_split(np.arange(len(images)), train_size=100, stratify=digits.target, random_state=0)

# %% [markdown]
# `include_top=False` gives the vector before the last layer, `features_only=True` the feature maps by stride.

# %%
body = zoo.build("fashion_mnist", weights="default", include_top=False)
maps = zoo.build("fashion_mnist", weights="default", features_only=True)
block = maps.predict(images, batch_size=256, verbose=0)["stride_2"]  # (1797, 14, 14, 64)
features = {
    "pixels": digits.data,
    "last layer": body.predict(images, batch_size=256, verbose=0),
    "second block": np.asarray(keras.ops.average_pool(block, 3)).reshape(len(images), -1),
}
for name, x in features.items():
    classifier = make_pipeline(
        StandardScaler(), LogisticRegressionCV(Cs=[1e-3, 1e-2, 1e-1], l1_ratios=(0,), cv=3, max_iter=3000)
    )
    classifier.fit(x[train], digits.target[train])
    print(f"{name:12} {x.shape[1]:5} features, accuracy {classifier.score(x[test], digits.target[test]):.3f}")

# %% [markdown]
# The strokes and edges of the second block help; the last layer knows shirts and shoes, and does not. Two principal
# components of the second block, by digit:

# %%
# Figure: Scatter plot of the first two principal components of the features of 1,797 digits, coloured by digit
plane = PCA(2).fit_transform(StandardScaler().fit_transform(features["second block"]))
plt.figure(figsize=(6, 5), layout="constrained")
plt.scatter(*plane.T, c=digits.target, s=6, cmap="tab10")
plt.colorbar(label="digit")
plt.show()

# %% [markdown]
# The network itself can be trained further: a new last layer for ten digits, and `zoo.freeze` for the first layers.

# %%
keras.utils.set_random_seed(0)
model = zoo.build("fashion_mnist", weights="default", num_classes=10)
zoo.freeze(model, until="block0_pool")
model.compile(
    keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
)
model.fit(images[train], digits.target[train], batch_size=20, epochs=8, verbose=0)
print(f"fine-tuned: {model.evaluate(images[test], digits.target[test], batch_size=256, verbose=0)[1]:.3f}")
