# %% [markdown]
# # Vanishing gradients, activations and initial weights
#
# ## The idea
#
# On its way back through the layers a gradient is multiplied, in every layer, by the derivative of the activation and by the weights. If
# these factors are smaller than one, the first layers of a deep network get almost no gradient, and do not learn. ReLU, whose derivative
# is one where it is active, and first weights whose scale fits the width of the layer keep the gradient alive.

# %% [markdown]
# ## Formulas
#
# ### Activations and their derivatives
#
# $$\sigma'(z) = \sigma(z)(1 - \sigma(z)) \le \frac{1}{4}, \qquad \tanh'(z) = 1 - \tanh^2(z) \le 1, \qquad \mathrm{ReLU}'(z) = [z > 0]$$
#
# Code: `docs.course.lessons.basics.activations.ACTIVATIONS`
#
# ### The gradient of the first layer
#
# With $h^{(l)} = f(z^{(l)})$ and $z^{(l)} = h^{(l-1)} W^{(l)}$ the error term of the first of $L$ layers is a product of $L - 1$ factors:
#
# $$\delta^{(1)} = \delta^{(L)} \prod_{l=L}^{2} W^{(l)\top} \mathrm{diag}\left( f'(z^{(l-1)}) \right)$$
#
# Code: `docs.course.lessons.basics.activations.kernel_gradients`
#
# ### Initial weights: Glorot and He
#
# A layer keeps the variance of its inputs if the variance of its weights fits the number of inputs $n_{in}$ and outputs $n_{out}$. ReLU
# drops half of the values, so He doubles it:
#
# $$\mathrm{Var}(W)_{\mathrm{Glorot}} = \frac{2}{n_{in} + n_{out}}, \qquad \mathrm{Var}(W)_{\mathrm{He}} = \frac{2}{n_{in}}$$
#
# Code: `docs.course.lessons.basics.activations.INITIALIZERS`, `zoo.models.mnist.mnist`
#
# Derivation: one output is $z = \sum_i w_i x_i$ with $n_{in}$ independent terms of mean zero, so
#
# $$\mathrm{Var}(z) = n_{in}\,\mathrm{Var}(w)\,\mathbb{E}[x^2]$$
#
# and the variance is kept for $\mathrm{Var}(w) = 1 / n_{in}$. The gradients pass the layer backwards, as sums of $n_{out}$ terms,
# and ask for $1 / n_{out}$: Glorot takes the mean of $n_{in}$ and $n_{out}$. After ReLU, $\mathbb{E}[x^2]$ is half of the variance
# of the sums below, which He makes up for by the factor 2.
#
# Twenty layers of ReLU, with the variance of He and with half of it:

# %%
import keras
import numpy as np

random = np.random.default_rng(0)
scales = {}
for name, variance in (("He", 2 / 100), ("half of it", 1 / 100)):
    x = random.normal(size=(200, 100))
    for _ in range(20):
        x = np.maximum(x @ random.normal(0, variance**0.5, (100, 100)), 0)
    scales[name] = float(np.sqrt(np.mean(x**2)))
print(scales)
assert scales["He"] > 0.2
assert scales["half of it"] < 0.01

# %% [markdown]
# ## Exercises
#
# ### 1. The largest derivative
#
# Where is the derivative of the sigmoid largest, and how small is the product of ten of them at best?

# %% starter
largest = 1.0  # your largest derivative of the sigmoid

# check
z = np.linspace(-8, 8, 1601)
slopes = np.gradient(1 / (1 + np.exp(-z)), z)
assert np.isclose(largest, slopes.max(), atol=1e-4), (
    f"not yet: between -8 and 8 no slope is larger than {slopes.max():.4f}"
)
print("right: ten layers multiply by at most", largest**10)

# %% solution
z = np.linspace(-8, 8, 1601)
derivative = np.exp(-z) / (1 + np.exp(-z)) ** 2
largest = derivative.max()
print(f"at z = {z[derivative.argmax()]:.2f}: {derivative.max():.4f}; ten layers: {derivative.max() ** 10:.1e}")
assert np.isclose(derivative.max(), 0.25)
assert abs(z[derivative.argmax()]) < 1e-9

# %% [markdown] why
# $\sigma'(z) = \sigma(z) (1 - \sigma(z))$ is a product of two numbers whose sum is 1, which is largest when both are one half:
# 0.25 at $z = 0$. Backpropagation multiplies by one such factor per layer, so ten layers multiply by at most $0.25^{10} \approx
# 10^{-6}$. Away from 0 it is worse, since the derivative of a saturated unit is almost 0.

# %% [markdown]
# ### 2. Zeros
#
# Why may a network not start with all weights zero? Compute the gradients of a network of two layers with ReLU that does.

# %% solution
import tensorflow as tf

model = keras.Sequential(
    [
        keras.Input((5,)),
        keras.layers.Dense(4, activation="relu", kernel_initializer="zeros"),
        keras.layers.Dense(3, kernel_initializer="zeros"),
    ]
)
with tf.GradientTape() as tape:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
        np.array([0, 1]), model(np.ones((2, 5), "float32"))
    )
gradients = [float(tf.reduce_max(tf.abs(g))) for g in tape.gradient(loss, model.trainable_variables)]
print(gradients, "only the bias of the output layer has a gradient: the network never uses its input")
assert gradients[:3] == [0, 0, 0]
assert gradients[3] > 0

# %% [markdown] why
# With zeros the hidden outputs are $\mathrm{ReLU}(0) = 0$, so the gradient of the second kernel, which is hidden output times
# $\delta$, is zero. The gradient of the first kernel passes through the second one, which is zero as well. Only the bias of the
# output learns, and that is a model of the class frequencies. Random weights break the symmetry; zeros are right for biases only.

# %% [markdown]
# ### 3. Keras' initializers
#
# Check that the variances of `GlorotUniform` and `HeNormal` for a kernel of 300 x 100 are those of the formulas.

# %% solution
glorot = np.var(keras.initializers.GlorotUniform(seed=0)((300, 100)))
he = np.var(keras.initializers.HeNormal(seed=0)((300, 100)))
print(f"Glorot {glorot:.5f} and {2 / 400:.5f}, He {he:.5f} and {2 / 300:.5f}")
assert abs(glorot / (2 / 400) - 1) < 0.05
assert abs(he / (2 / 300) - 1) < 0.05

# %% [markdown] why
# A uniform distribution on $[-a, a]$ has the variance $a^2 / 3$, and Keras chooses $a = \sqrt{6 / (n_{in} + n_{out})}$, which
# gives $2 / (n_{in} + n_{out})$. He takes $2 / n_{in}$, twice what keeps the variance of a sum of $n_{in}$ inputs, because ReLU
# sets half of the signal to zero. The measured variance of 30,000 numbers differs from that of the distribution by about 1 %.
