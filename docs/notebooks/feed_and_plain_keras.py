# %% [markdown]
# # The feed in plain Keras
#
# The feed is a `tf.data` pipeline in which the shuffle and the augmentation depend on the seed, the epoch and the
# example only. It works with `fit`, `evaluate` and loops of your own.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import pipelines
import zoo

digits = load_digits()
images = (digits.images * 15).astype("uint8").repeat(3, axis=1).repeat(3, axis=2)  # (1797, 24, 24)
data = pipelines.from_arrays(images, digits.target, name="large_digits")


def decode(example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Return (pixels uint8 (28, 28, 1), label) of an example."""
    return tf.image.resize_with_crop_or_pad(tf.io.decode_png(example["image"], 1), 28, 28), example["label"]


augment = pipelines.augment.policy("width_shift=0.1,height_shift=0.1,rotation=10,zoom=0.1")
feed = pipelines.feed(data.train, decode=decode, augment=augment)
print(feed.steps(64), "batches of 64")

# %% [markdown]
# The same image in six epochs: each epoch draws anew, and the same seed always draws the same.

# %%
# Figure: An image of a digit, and the same image as augmented in epochs 0 to 5
first = next(iter(data.train.map(decode).batch(1)))[0]
plain = pipelines.feed(data.train.take(1), decode=decode, augment=augment)
epochs = [next(iter(plain.batches(1, seed=0, epoch=e)))[0][0] for e in range(6)]
figure, axes = plt.subplots(1, 7, figsize=(12, 2), layout="constrained")
for axis, image, title in zip(axes, [first[0], *epochs], ["original", *map(str, range(6))], strict=True):
    axis.imshow(image[..., 0], cmap="gray_r")
    axis.set_title(title)
    axis.axis("off")
plt.show()
again = next(iter(plain.batches(1, seed=0, epoch=3)))[0][0]
print("equal:", np.array_equal(epochs[3], again))

# %% [markdown]
# `feed.train` repeats and shuffles for `fit`; a validation split is given as it stands.

# %%
# Figure: Accuracy by epoch, on augmented training images and on validation images
keras.utils.set_random_seed(0)
model = zoo.build("mnist")
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
validation = data.validation.map(decode).batch(64)
history = model.fit(
    feed.train(64), steps_per_epoch=feed.steps(64), epochs=12, validation_data=validation, verbose=0
).history
plt.figure(figsize=(6, 3), layout="constrained")
plt.plot(history["accuracy"], label="training, augmented")
plt.plot(history["val_accuracy"], label="validation")
plt.xlabel("epoch")
plt.ylabel("accuracy")
plt.legend()
plt.show()
print(f"test accuracy: {model.evaluate(data.test.map(decode).batch(64), verbose=0)[1]:.2f}")
