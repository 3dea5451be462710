# %% [markdown]
# # Tensors, models and pipelines
#
# ## The idea
#
# A tensor is an array with a dtype and a shape; a layer is a function of tensors with weights; a model is a graph of layers. A pipeline
# brings the data to the model: it reads, decodes, shuffles, batches and augments. While the model computes one batch, the pipeline can
# prepare the next one, if reading and computing do not need the same resource.

# %% [markdown]
# ## Formulas
#
# ### Parameters of a dense layer
#
# $n_{in}$ inputs, $n_{out}$ outputs, one bias each:
#
# $$P = n_{in}\,n_{out} + n_{out}$$
#
# Code: `docs.course.layer_table.layer_table`
#
# ### Time of an epoch
#
# $B$ batches, $t_r$ seconds to prepare one, $t_c$ seconds to compute with it. Without and with prefetching:
#
# $$T = B\,(t_r + t_c), \qquad T_{\mathrm{prefetch}} \approx B \max(t_r, t_c)$$
#
# The second holds only if the two do not share a resource: on a machine whose processor both decodes and trains, prefetching can gain
# little; with a GPU, or with a disk or a network to wait for, it gains up to one half.
#
# Code: `docs.course.lessons.practice.pipelines_and_models.overlapped`
#
# ### Steps of an epoch
#
# $$B = \left\lceil \frac{m}{\mathrm{batch\ size}} \right\rceil$$
#
# Code: `pipelines.feeding.Feed`
#
# ### Operations on tensors
#
# `tf.matmul(a, b)`, also written `a @ b`, multiplies matrices: (m, n) and (n, k) give (m, k). `tf.reduce_sum(x, axis)` adds along an axis,
# which disappears; without `axis` it adds all numbers. With both a dense layer and its loss are written in a line each:
#
# $$z = x W + b, \qquad E = \frac{1}{m} \sum_{i=1}^{m} \sum_{k} (z_{ik} - y_{ik})^2$$
#
# `Dataset.take(n)` is the first $n$ elements of a dataset, in its order: after `batch` these are batches. To look at a feed, take one.
#
# ### Normalisation of images
#
# Pixels lie between 0 and 255. Networks train best on inputs near zero with a variance near one, since the gradient of a weight is
# proportional to its input; $\mu$ and $s$ are mean and standard deviation of the training pixels, of each channel:
#
# $$x' = \frac{x}{255} \qquad \mathrm{or} \qquad x' = \frac{x - \mu}{s}$$
#
# It belongs in the model: code in front of it is forgotten, or written differently, by whoever uses the model. It costs nothing
# there, because a first linear layer can take it in: $x' W + b = x\,(W / s) + (b - \mu W / s)$.
#
# Code: `zoo.models.mnist.mnist`
#
# Shapes on the way through a small model:

# %%
import keras
import numpy as np
import tensorflow as tf

import pipelines
import zoo

model = zoo.build("mnist", units=[32])
for layer in model.layers:
    print(f"{layer.name:12} {layer.output.shape} {layer.count_params():,} parameters")
assert model.count_params() == (784 * 32 + 32) + (32 * 10 + 10)

# %% [markdown]
# The operations on small tensors, and normalisation that is part of a dense layer:

# %%
a, b = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), tf.constant([[1.0, 0.0], [0.0, 2.0]])
print(tf.matmul(a, b).numpy().tolist(), tf.reduce_sum(a, axis=0).numpy().tolist(), float(tf.reduce_sum(a)))
assert np.array_equal(tf.matmul(a, b), a @ b)
assert tf.reduce_sum(a, axis=0).numpy().tolist() == [9, 12]
assert [int(x) for x in tf.data.Dataset.range(10).take(3)] == [0, 1, 2]

pixels = np.random.default_rng(0).uniform(0, 255, (4, 6)).astype("float32")
mean, deviation, kernel, bias = 72.0, 90.0, np.ones((6, 2), "float32"), np.array([0.5, -1.0], "float32")
inside = pixels @ (kernel / deviation) + bias - mean * kernel.sum(axis=0) / deviation
layer = keras.layers.Normalization(axis=None, mean=mean, variance=deviation**2)
assert np.allclose(layer(pixels) @ kernel + bias, inside, atol=1e-4)

# %% [markdown]
# ## Exercises
#
# ### 1. Three ways to the same model
#
# Build a network of two dense layers by `Sequential`, by the functional API and as a class, with the same weights. Do they agree?

# %% solution
hidden, logits = keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)
sequential = keras.Sequential([keras.Input((4,)), hidden, logits])
inputs = keras.Input((4,))
functional = keras.Model(inputs, logits(hidden(inputs)))


class Subclassed(keras.Model):
    """The same two layers."""

    def __init__(self):
        """Keep the layers."""
        super().__init__()
        self.hidden, self.logits = hidden, logits

    def call(self, x):
        """Return the logits."""
        return self.logits(self.hidden(x))


x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
outputs = [np.asarray(m(x)) for m in (sequential, functional, Subclassed())]
assert np.array_equal(outputs[0], outputs[1])
assert np.array_equal(outputs[0], outputs[2])

# %% [markdown] why
# All three call the same two layer objects, which hold the weights; the models only say in which order. The same operations on
# the same numbers give the same bits, so `array_equal` holds without a tolerance. What differs is what Keras knows: of the first
# two it can draw the graph and save the structure, of the class it knows only `call`, so loading needs its code.

# %% [markdown]
# ### 2. Shuffle, batch, repeat
#
# Why does `shuffle` belong before `batch`? Show what the other order does to ten numbers.

# %% starter
numbers = tf.data.Dataset.range(10)
shuffled = numbers.batch(5).shuffle(10, seed=0)  # the two steps in your order

# check
batches = [batch.numpy().tolist() for batch in shuffled]
assert [len(batch) for batch in batches] == [5, 5], f"not yet: two batches of five, not {batches}"
assert [0, 1, 2, 3, 4] not in batches, f"not yet: 0 to 4 are still together: {batches}"
print("right:", batches)

# %% solution
numbers = tf.data.Dataset.range(10)
shuffled = numbers.shuffle(10, seed=0).batch(5)
right = [batch.numpy().tolist() for batch in shuffled]
wrong = [batch.numpy().tolist() for batch in numbers.batch(5).shuffle(10, seed=0)]
print(right, wrong, "the second shuffles whole batches: 0 to 4 are always together")
assert [0, 1, 2, 3, 4] in wrong
assert [0, 1, 2, 3, 4] not in right

# %% [markdown] why
# `shuffle` permutes the elements of what it gets. After `batch` the elements are whole batches: 0 to 4 stay together in every
# epoch, and the gradient of a batch always averages the same rows. Before `batch` the elements are rows, so that each epoch has
# other batches.

# %% [markdown]
# ### 3. What a cache freezes
#
# `.map(random).cache()` and `.cache().map(random)`: which draws new random numbers in every epoch?

# %% solution


def noisy(x):
    """Return a number with noise that no seed fixes."""
    noise = tf.numpy_function(np.random.default_rng().random, [], tf.float64)
    return tf.cast(x, tf.float64) + noise


after = numbers.map(noisy).cache()
before = numbers.cache().map(noisy)
epochs = {
    name: [[float(v) for v in data] for _ in range(2)] for name, data in (("map, cache", after), ("cache, map", before))
}
assert epochs["map, cache"][0] == epochs["map, cache"][1]  # the noise of the first epoch is kept
assert epochs["cache, map"][0] != epochs["cache, map"][1]
print("augmentation belongs after the cache; pipelines.feed does it so:", pipelines.feed.__doc__.splitlines()[0])

# %% [markdown] why
# A cache stores the elements that pass it in the first epoch and repeats them. If the random step comes before, its results of
# the first epoch are stored, and each later epoch sees the same "random" images. If it comes after, only the costly decoding is
# stored, and the random step runs again for every element.
