# %% [markdown]
# # Gradient descent and backpropagation
#
# ## The idea
#
# The loss of a network is a function of its weights. Gradient descent changes all weights a little in the direction in which the
# loss falls fastest. Backpropagation finds this direction for every layer at the price of about two evaluations of the
# network: the chain rule is applied from the last layer to the first, and each layer hands on what the one before it needs.

# %% [markdown]
# ## Formulas
#
# $x$ is the input, $h$ the hidden layer, $\hat y$ the output, $y$ the target, $f$ the activation, $\eta$ the learning rate, $m$ the
# number of rows.
#
# ### Forward pass of two layers
#
# $$z^{(1)} = x W^{(1)} + b^{(1)}, \qquad h = f(z^{(1)}), \qquad z^{(2)} = h W^{(2)} + b^{(2)}, \qquad \hat y = f_2(z^{(2)})$$
#
# Code: `docs.course.lessons.basics.backpropagation.forward`
#
# ### Mean squared error
#
# $$E = \frac{1}{m} \sum_{i=1}^{m} (y_i - \hat y_i)^2$$
#
# Code: `docs.course.lessons.basics.backpropagation.mean_squared_error`
#
# ### The error term
#
# The error term $\delta$ of a unit is the derivative of the error with respect to its input $z$. For one unit with a sigmoid and half the
# squared error, the chain rule gives:
#
# $$\delta = \frac{\partial E}{\partial z} = (\hat y - y)\,\sigma'(z), \qquad \Delta w_j = -\eta\,\delta\,x_j$$
#
# Some texts define it with the other sign, $(y - \hat y)\,\sigma'(z)$, and add $\eta\,\delta\,x_j$: the step is the same.
#
# ### Backpropagation, layer by layer
#
# The error term of a layer is that of the layer above, carried back through its weights, times the derivative of the layer's own
# activation. The gradient of a kernel is the layer's input, transposed, times the error term of its output ($\odot$ multiplies
# element by element):
#
# $$\delta^{(2)} = \frac{\partial E}{\partial z^{(2)}}, \qquad \delta^{(1)} = \left( \delta^{(2)} W^{(2)\top} \right) \odot f'(z^{(1)})$$
#
# $$\frac{\partial E}{\partial W^{(2)}} = h^\top \delta^{(2)}, \qquad \frac{\partial E}{\partial W^{(1)}} = x^\top \delta^{(1)}, \qquad \frac{\partial E}{\partial b^{(l)}} = \sum_{i} \delta^{(l)}_i$$
#
# Code: `docs.course.lessons.basics.backpropagation.backward`
#
# Derivation: a sum $z^{(2)}_k$ depends on $z^{(1)}_j$ through $h_j = f(z^{(1)}_j)$ only, and on $W^{(2)}_{jk}$ through the product
# $h_j W^{(2)}_{jk}$, so the chain rule gives for one row
#
# $$\delta^{(1)}_j = \sum_k \frac{\partial E}{\partial z^{(2)}_k}\,\frac{\partial z^{(2)}_k}{\partial h_j}\,\frac{\partial h_j}{\partial z^{(1)}_j} = \left( \sum_k \delta^{(2)}_k W^{(2)}_{jk} \right) f'(z^{(1)}_j), \qquad \frac{\partial E}{\partial W^{(2)}_{jk}} = h_j\,\delta^{(2)}_k$$
#
# ### Gradient descent
#
# $$W \leftarrow W - \eta\,\frac{\partial E}{\partial W}$$
#
# Code: `docs.course.lessons.basics.backpropagation.step`
#
# The error term of one unit, and what TensorFlow computes:

# %%
import numpy as np
import tensorflow as tf

x, y, w = np.array([0.5, -0.2, 0.1]), 1.0, np.array([0.3, 0.8, -0.5])
prediction = 1 / (1 + np.exp(-x @ w))
delta = (prediction - y) * prediction * (1 - prediction)
variable = tf.Variable(w)
with tf.GradientTape() as tape:
    error = 0.5 * (y - tf.sigmoid(tf.tensordot(variable, x, 1))) ** 2
gradient = tape.gradient(error, variable).numpy()
print("by the error term:", delta * x, "by TensorFlow:", gradient)
assert np.allclose(delta * x, gradient)

# %% [markdown]
# ## Exercises
#
# ### 1. Two layers by hand
#
# A network has two inputs, two hidden units with a sigmoid and one output with a sigmoid, without biases. Compute the gradients of half
# the squared error by the formulas above, and compare them with `tf.GradientTape`.

# %% solution
x, y = np.array([[0.5, 0.1]]), np.array([[1.0]])
w1, w2 = np.array([[0.1, -0.4], [0.7, 0.2]]), np.array([[0.3], [-0.6]])


def sigmoid(z):
    """Return the sigmoid."""
    return 1 / (1 + np.exp(-z))


h = sigmoid(x @ w1)
out = sigmoid(h @ w2)
delta2 = (out - y) * out * (1 - out)
delta1 = delta2 @ w2.T * h * (1 - h)
gradients = x.T @ delta1, h.T @ delta2
variables = tf.Variable(w1), tf.Variable(w2)
with tf.GradientTape() as tape:
    error = 0.5 * tf.reduce_sum((y - tf.sigmoid(tf.sigmoid(x @ variables[0]) @ variables[1])) ** 2)
for ours, theirs in zip(gradients, tape.gradient(error, variables), strict=True):
    assert np.allclose(ours, theirs)

# %% [markdown] why
# Each $\delta$ is the derivative of the error by the sum $z$ of a unit. The chain rule gives that of the output directly, and
# that of the hidden layer as the sum over all ways from a hidden unit to the output, which is the product with $W_2^\top$. A
# gradient of a weight is then its input times the $\delta$ of its unit. `tf.GradientTape` applies the same rule to the recorded
# operations, so that the numbers are equal up to rounding.

# %% [markdown]
# ### 2. Too long a step
#
# Minimise $E(w) = w^2$ from $w = 1$. For which learning rates does gradient descent converge? Check 0.1, 0.9 and 1.1.

# %% starter
largest = 0.0  # your learning rate above which gradient descent diverges

# check
ends = [abs(1 - 2 * factor * largest) ** 1000 for factor in (0.99, 1.01)]  # |w| after 1,000 steps
assert ends[0] < 1e-6, f"not yet: just below a rate of {largest} w is {ends[0]:.1e} after 1,000 steps"
assert ends[1] > 1e6, f"not yet: just above a rate of {largest} w is {ends[1]:.1e} after 1,000 steps"
print("right: it converges below, and diverges above")

# %% solution
largest, ends = 1.0, {}
for rate in (0.1, 0.9, 1.1):
    w = 1.0
    for _ in range(100):
        w -= rate * 2 * w
    ends[rate] = abs(w)
print(ends, "each step multiplies w by 1 - 2 rate, so it converges for 0 < rate < 1")
assert ends[0.1] < 1e-6
assert ends[0.9] < 1e-6
assert ends[1.1] > 1e6

# %% [markdown] why
# The gradient of $w^2$ is $2w$, so a step replaces $w$ by $(1 - 2\eta) w$. After $n$ steps $w = (1 - 2\eta)^n$, which goes to 0
# where $|1 - 2\eta| < 1$. With 0.9 the sign changes in every step and the size still shrinks; with 1.1 each step overshoots by
# more than the distance it came from. For another function the bound is $2 / E''$, so the steepest direction limits the rate.

# %% [markdown]
# ### 3. A network learns XOR
#
# Train two layers on XOR by gradient descent in NumPy, until all four rows are right.

# %% solution
random = np.random.default_rng(1)
x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])
w1, b1, w2, b2 = random.normal(size=(2, 4)), np.zeros(4), random.normal(size=(4, 1)), np.zeros(1)
for _ in range(5000):
    h = np.tanh(x @ w1 + b1)
    p = sigmoid(h @ w2 + b2)
    delta2 = (p - y) / len(y)  # of the cross-entropy
    delta1 = delta2 @ w2.T * (1 - h**2)
    w2, b2 = w2 - 0.5 * h.T @ delta2, b2 - 0.5 * delta2.sum(0)
    w1, b1 = w1 - 0.5 * x.T @ delta1, b1 - 0.5 * delta1.sum(0)
print(p.round(3).ravel())
assert ((p > 0.5) == y).all()

# %% [markdown] why
# XOR is not separable by one line, but two hidden units can each draw a line, and the output combines them. The hidden layer
# begins with random weights: with equal ones all its units would have the same gradient and stay equal. $\delta_2$ is $p - y$
# without a factor $\sigma'$, because the loss is the cross-entropy.
