# %% [markdown]
# # Saving and loading
#
# ## The idea
#
# A file can hold weights only, weights with the layers, or the whole computation. The first needs the code that builds the model, the
# second needs Keras (and the code of own layers), the third needs only a runtime. To *continue* a training more is needed: the state of the
# optimizer, the epoch, the order of the data and the state of the random numbers.

# %% [markdown]
# ## Formulas
#
# ### Size of a file
#
# $P$ parameters of $b$ bytes each (4 for float32, 2 for float16, 1 for int8). Adam keeps two more numbers for every parameter:
#
# $$\mathrm{bytes} \approx b P, \qquad \mathrm{bytes}_{\mathrm{Adam}} \approx 3 b P$$
#
# Code: `docs.course.lessons.practice.saving.size`
#
# ### Quantisation to int8
#
# $$q = \mathrm{round}\left( \frac{w}{s} \right) + z, \qquad w \approx s\,(q - z), \qquad |w - s\,(q - z)| \le \frac{s}{2}$$
#
# Code: `export.exporter.export_model`
#
# ### The best epoch
#
# $$e^\ast = \arg\min_e E_{\mathrm{validation}}(e)$$
#
# Code: `zoo.training.callbacks.CheckpointCallback`
#
# Saving and loading in Keras, in each form:

# %%
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

folder = pathlib.Path(tempfile.mkdtemp())
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)])
x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
before = model.predict(x, verbose=0)

model.save(folder / "model.keras")  # layers and weights
model.save(folder / "model.h5")  # the same in the older form
model.save_weights(folder / "model.weights.h5")  # weights only
model.export(folder / "saved_model", verbose=False)  # the computation, for tf.saved_model.load and TF Serving

for name in ("model.keras", "model.h5"):
    assert np.array_equal(keras.models.load_model(folder / name).predict(x, verbose=0), before)
copy = keras.models.clone_model(model)
copy.load_weights(folder / "model.weights.h5")
assert np.array_equal(copy.predict(x, verbose=0), before)
served = tf.saved_model.load(folder / "saved_model")
assert np.allclose(served.serve(x), before, atol=1e-6)
print("all four give the same logits")

# %% [markdown]
# ## Exercises
#
# ### 1. ModelCheckpoint
#
# Train for ten epochs, and keep only the weights of the lowest validation loss. Is it that of the last epoch?

# %% solution
random = np.random.default_rng(1)
inputs = random.normal(size=(60, 4)).astype("float32")
labels = random.integers(0, 3, 60)  # noise: the model can only overfit
model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
keep = keras.callbacks.ModelCheckpoint(str(folder / "best.weights.h5"), save_best_only=True, save_weights_only=True)
history = model.fit(inputs, labels, validation_split=0.5, epochs=10, verbose=0, callbacks=[keep]).history["val_loss"]
model.load_weights(folder / "best.weights.h5")
measured = model.evaluate(inputs[30:], labels[30:], verbose=0)
print(f"last epoch {history[-1]:.3f}, best {min(history):.3f}, loaded {measured:.3f}")
assert abs(measured - min(history)) < 1e-4
assert min(history) < history[-1]

# %% [markdown] why
# The labels are noise, so the model can only memorise the training rows, and its validation loss rises after the first epochs.
# `save_best_only` writes a file only when the validation loss is lower than all before, so that the file holds the weights of the
# minimum. Evaluating the loaded model gives that minimum again: the weights, not the last ones, were restored.

# %% [markdown]
# ### 2. No overwriting
#
# What does `model.save` do with a file that is already there? Write a function that refuses.


# %% starter
def save_new(model, path):
    """Save to a path that must be free."""
    model.save(path)  # your function


# check
taken, refused = folder / "taken.keras", False
taken.touch()
try:
    save_new(model, taken)
except FileExistsError:
    refused = True
assert refused, "not yet: it has overwritten a file; raise FileExistsError"
save_new(model, folder / f"free{len(list(folder.iterdir()))}.keras")
print("right: it refuses a path that is taken, and saves to one that is free")

# %% solution


def save_new(model, path):
    """Save to a path that must be free."""
    if pathlib.Path(path).exists():
        raise FileExistsError(f"{path} is already there")
    model.save(path)


refused = False
try:
    save_new(model, folder / "model.keras")
except FileExistsError as error:
    refused = True
    print(error, "- Keras itself overwrites without a question, unless overwrite=False")
assert refused

# %% [markdown] why
# `model.save` replaces the file without a question (`overwrite=True` is its default), which loses the older model. Checking for
# the path first is enough for one process. Two processes could both find it free: then open the file exclusively, or write to a
# new name and rename it.

# %% [markdown]
# ### 3. The optimizer's state
#
# Which of `model.keras` and `model.h5` lets Adam go on where it stopped? Compare the variables of the optimizer after loading, and call `fit`.

# %% solution
results = {}
for name in ("trained.keras", "trained.h5"):
    model.save(folder / name)
    loaded = keras.models.load_model(folder / name)
    variables = len(loaded.optimizer.variables)
    try:
        loaded.fit(inputs, labels, epochs=1, verbose=0)
        results[name] = variables, "continues"
    except ValueError:  # the optimizer was not built for the variables of the model
        results[name] = variables, "does not continue"
print(results, "of the model itself:", len(model.optimizer.variables))
# Keras 3.15 loads the step and the rate from HDF5, but not the two moving averages that Adam has for each weight
assert results["trained.keras"] == (len(model.optimizer.variables), "continues")
assert results["trained.h5"] == (2, "does not continue")

# %% [markdown] why
# Adam keeps two moving averages for each weight besides its step counter and rate. `.keras` stores all of them, so training
# continues where it stopped. The HDF5 file of Keras 3 gives back only two of the ten variables, and `fit` then raises because the
# optimizer was not built for these weights. Use HDF5 for inference, not to resume.
