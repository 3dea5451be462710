# %% [markdown]
# # Classification with many classes
#
# ## The idea
#
# A network for ten classes has ten outputs, the *logits*: any numbers, the larger the more probable. Softmax turns them into
# probabilities that add up to one, and the cross-entropy is the negative logarithm of the probability of the true class. In Keras
# `compile` chooses the optimizer, the loss and the metrics, `fit` trains, and returns a `History` with the values of each epoch.

# %% [markdown]
# ## Formulas
#
# $z$ are the logits of $K$ classes, $p$ the probabilities, $c$ the true class, $y$ the label as a one-hot row.
#
# ### Softmax
#
# $$p_k = \frac{e^{z_k}}{\sum_{j=1}^{K} e^{z_j}}$$
#
# With two classes it is the sigmoid of the difference: $p_1 = \sigma(z_1 - z_0)$. A constant that is added to all logits changes
# nothing, so the largest is subtracted first, and no exponential overflows.
#
# Code: `docs.course.lessons.basics.classification.softmax`
#
# ### Cross-entropy of many classes
#
# $$E = -\sum_{k=1}^{K} y_k \ln p_k = -\ln p_c = \ln \sum_{j=1}^{K} e^{z_j} - z_c$$
#
# `CategoricalCrossentropy` takes the label as a one-hot row, `SparseCategoricalCrossentropy` as the number $c$: the loss is the same. With
# `from_logits=True` Keras computes the last form, which is exact also where $p_c$ is too small for a float.
#
# Code: `docs.course.lessons.basics.classification.cross_entropy`, `zoo.modeling.losses.SparseCategoricalCrossentropy`
#
# ### Its gradient
#
# $$\frac{\partial E}{\partial z_k} = p_k - y_k$$
#
# Code: `docs.course.lessons.basics.classification.gradient`
#
# Derivation, from the last form of the loss:
#
# $$\frac{\partial}{\partial z_k} \left( \ln \sum_j e^{z_j} - z_c \right) = \frac{e^{z_k}}{\sum_j e^{z_j}} - [k = c] = p_k - y_k$$
#
# ### Accuracy
#
# $$\mathrm{accuracy} = \frac{1}{m} \sum_{i=1}^{m} \left[ \arg\max_k z_{ik} = c_i \right]$$
#
# Code: `zoo.modeling.metrics.Accuracy`
#
# The three forms of the loss in Keras agree:

# %%
import keras
import numpy as np

from docs.course.lessons.basics import classification

logits, labels = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, 3.0]], "float32"), np.array([0, 2])
one_hot = np.eye(3, dtype="float32")[labels]
values = (
    keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits),
    keras.losses.CategoricalCrossentropy(from_logits=True)(one_hot, logits),
    keras.losses.CategoricalCrossentropy()(one_hot, classification.softmax(logits)),
)
print([float(value) for value in values], classification.cross_entropy(logits, labels))
assert np.allclose(values, classification.cross_entropy(logits, labels), atol=1e-6)

# %% [markdown]
# ## Exercises
#
# ### 1. Chance
#
# What is the cross-entropy of a network that knows nothing about ten classes? Which loss of an untrained network should make you
# suspicious?

# %% starter
uniform = 0.0  # your number, in nats

# check
expected = classification.cross_entropy(np.zeros((1, 10)), np.array([3]))
assert np.isclose(uniform, expected, atol=1e-4), (
    f"not yet: with equal logits each class has probability 1/10, not exp(-{uniform})"
)
print("right: a first loss far above it means that the first logits are too large")

# %% solution
uniform = classification.cross_entropy(np.zeros((1, 10)), np.array([3]))
print(f"ln 10 = {uniform:.4f}; a first loss far above it means that the first logits are too large")
assert np.isclose(uniform, np.log(10))

# %% [markdown] why
# A network that knows nothing gives every class the probability 1/10, and the cross-entropy is $-\ln(1/10) = \ln 10 = 2.303$. A
# much larger first loss means that the network is confidently wrong before it has learnt anything: its first logits are too
# large, mostly because the inputs are not scaled. A smaller one would mean that it has seen the labels.

# %% [markdown]
# ### 2. Numbers that are too large
#
# Compute softmax of (1000, 0) by the plain formula and by `classification.softmax`.

# %% solution
with np.errstate(over="ignore", invalid="ignore"):
    plain = np.exp([1000.0, 0.0]) / np.exp([1000.0, 0.0]).sum()
stable = classification.softmax(np.array([[1000.0, 0.0]]))
print(plain, stable)
assert np.isnan(plain[0])
assert stable.tolist() == [[1.0, 0.0]]

# %% [markdown] why
# $e^{1000}$ is larger than the largest float64, about $10^{308}$, so numerator and denominator are infinite and their quotient is
# not a number. Softmax does not change if the same number is subtracted from all logits, because the factor cancels. With the
# largest logit subtracted all exponents are at most 0: nothing overflows, and the sum is at least 1.

# %% [markdown]
# ### 3. compile, fit, History
#
# Train one dense layer on the digits of scikit-learn. Which metric names does `history.history` have, and do loss and accuracy improve?

# %% solution
from sklearn.datasets import load_digits

digits = load_digits()
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer=keras.optimizers.Adam(1e-2), loss=loss, metrics=["accuracy"])
history = model.fit(digits.data / 16, digits.target, validation_split=0.2, epochs=5, verbose=0).history
print({name: [round(value, 3) for value in values] for name, values in history.items()})
assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
assert history["loss"][-1] < history["loss"][0]
assert history["accuracy"][-1] > history["accuracy"][0]

# %% [markdown] why
# `fit` records one value per epoch of the loss and of every metric, and with `validation_split` the same again with the prefix
# `val_`. The loss falls because it is what the optimizer minimises. The accuracy rises with it but need not in every epoch: it
# counts decisions, which change only when a probability crosses that of another class.
