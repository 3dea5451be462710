# %% [markdown]
# # Augmentation and transfer learning
#
# ## The idea
#
# With few photographs a large network learns them by heart. Two things help. *Augmentation* changes each training image at random so
# that it still shows the same thing. *Transfer learning* starts from a network that was trained on a million other photographs (ImageNet): its
# first layers know edges and textures, its last ones parts of things. How much of it to keep depends on how many images there are and on how
# similar they are to ImageNet.

# %% [markdown]
# ## Formulas
#
# ### Augmentation
#
# The loss is an average over random changes $T$ (rotation, shift, zoom, flip, ...), of which each epoch draws one per image:
#
# $$E(w) = \frac{1}{m} \sum_{i=1}^{m} \mathbb{E}_{T}\left[ \ell(f_w(T(x_i)), y_i) \right]$$
#
# Validation and test images are **not** augmented: the question is how good the model is on images as they are.
#
# Code: `pipelines.augment.policies.policy`, `pipelines.augment.affine.warp`
#
# ### Rotation and zoom
#
# The pixel at $(x, y)$, measured from the middle of the image, moves by the angle $\theta$, the zoom $s$ and the shift $t$; a shear adds a
# multiple of $y$ to $x$:
#
# $$x' = s\,(x \cos\theta - y \sin\theta) + t_x, \qquad y' = s\,(x \sin\theta + y \cos\theta) + t_y$$
#
# Code: `pipelines.augment.affine.warp`
#
# ### A new head on a frozen network
#
# $g$ is the pretrained network without its last layer, $W$ and $b$ are new. First only they are trained, then, with many images, all
# weights at a low learning rate:
#
# $$\hat y = \mathrm{softmax}(g(x)\,W + b)$$
#
# Code: `zoo.tasks.image.transfer_learning.TransferLearning`, `zoo.modeling.features.freeze`
#
# Seed, epoch and index of an image decide its augmentation, so a training can be repeated:

# %%
import numpy as np
import tensorflow as tf

import pipelines
import zoo
from docs.course.lessons.images import transfer

image = transfer.photograph()
first, again = (transfer.views(image, "rotation=40,flip") for _ in range(2))
print(first.shape, "the same views again:", np.array_equal(first, again))
assert np.array_equal(first, again)

# %% [markdown]
# ## Exercises
#
# ### 1. Augmentations that change the label
#
# Which of rotation=180, flip and brightness=0.2 are wrong for photographs of digits? Show that a horizontal flip of a 2 is not a 2 for
# a classifier of digits.

# %% starter
wrong = set()  # your choice of "rotation", "flip" and "brightness"

# check
assert "brightness" not in wrong, "not yet: a darker digit is the same digit"
assert "flip" in wrong, "not yet: hold a 2 before a mirror"
assert "rotation" in wrong, "not yet: turn a 6 by 180 degrees"
print("right: now measure it")

# %% solution
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

wrong = {"rotation", "flip"}
digits = load_digits()
classifier = LogisticRegression(max_iter=2000).fit(digits.data / 16, digits.target)
twos = digits.images[digits.target == 2]
plain = np.mean(classifier.predict(twos.reshape(-1, 64) / 16) == 2)
flipped = np.mean(classifier.predict(twos[:, :, ::-1].reshape(-1, 64) / 16) == 2)
print(f"twos that are recognised: {plain:.2f}, flipped: {flipped:.2f}; rotation=180 makes a 6 of a 9")
assert plain > 0.95
assert flipped < 0.7

# %% [markdown] why
# An augmentation must not change the label. A flipped 2 is a shape that no writer produces, and the classifier, which was
# trained on upright twos, takes many of them for other digits; a rotation by 180 degrees turns a 6 into a 9. Another brightness
# leaves the digit what it is. For photographs of flowers a flip is right: which augmentations are allowed depends on the data.

# %% [markdown]
# ### 2. What is frozen
#
# Freeze a model, train one step, and show that only the head has changed.

# %% solution
import keras

from zoo.modeling.features import freeze

model = zoo.build("mnist_cnn")
count = freeze(model)
head = [weight.path for weight in model.trainable_variables]
before = [weight.numpy() for weight in model.weights]
model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.train_on_batch(np.random.default_rng(0).uniform(0, 255, (8, 28, 28, 1)), np.arange(8))
changed = [w.path for w, b in zip(model.weights, before, strict=True) if not np.array_equal(w.numpy(), b)]
print(f"{count} layers are frozen; changed: {changed}")
assert set(changed) <= set(head)
assert 0 < len(head) <= 2

# %% [markdown] why
# A frozen layer has `trainable = False`, so its variables are not in `trainable_variables`, and the optimizer gets gradients for
# the head only. Batch normalisation in a frozen layer also runs in inference mode, so its moving averages do not move either.
# `compile` must come after freezing, because it reads the list of variables.

# %% [markdown]
# ### 3. Validation is not augmented
#
# Feed the same data with a policy. Show that two epochs of training images differ, and that the validation images are the files' own.

# %% solution
images = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), dtype=np.uint8)
labels = np.arange(20) % 2
feed = pipelines.feed(tf.data.Dataset.from_tensor_slices((images, labels)), augment=pipelines.augment.policy("shift"))
plain = pipelines.feed(tf.data.Dataset.from_tensor_slices((images, labels)))
one, two = (np.concatenate([x for x, _ in feed.epochs(5, seed=0, start=e, stop=e + 1)]) for e in (0, 1))
validation = np.concatenate([np.asarray(x) for x, _ in plain.batches(5)])
assert not np.array_equal(np.sort(one.ravel()), np.sort(two.ravel()))
assert np.array_equal(validation.astype(np.uint8), images)

# %% [markdown] why
# The policy draws new shifts for each epoch, so that the network does not see the same pixels twice. The validation images stay
# what the files hold, as the measured number must be that of the images which users send. Augmenting them would also add noise
# from epoch to epoch to the number that decides when to stop.
