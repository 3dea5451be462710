# %% [markdown]
# # From the perceptron to logistic regression
#
# ## The idea
#
# A unit multiplies each input by a weight, adds a bias, and looks at the sum $z$. All points with $z = 0$ form its *decision line*.
# The perceptron only asks on which side of the line a point lies. Logistic regression turns $z$ into a probability, asks how
# probable the given labels are under the model, and moves the weights so that they become more probable. It is a neural network
# with one unit, and every larger network on these pages is trained by the same rule.

# %% [markdown]
# ## Formulas
#
# $x$ is a row of $n$ inputs, $w$ the weights, $b$ the bias, $y$ the label (0 or 1), $\hat y$ the prediction, $\eta$ the learning
# rate, $m$ the number of rows.
#
# ### The perceptron's step
#
# $$z = w \cdot x + b, \qquad \hat y = [z > 0], \qquad w \leftarrow w + \eta\,(y - \hat y)\,x, \qquad b \leftarrow b + \eta\,(y - \hat y)$$
#
# Code: `docs.course.lessons.basics.perceptron.perceptron_step`
#
# ### Sigmoid
#
# $$\sigma(z) = \frac{1}{1 + e^{-z}}, \qquad \sigma'(z) = \sigma(z)\,(1 - \sigma(z))$$
#
# Code: `docs.course.lessons.basics.perceptron.sigmoid`
#
# Derivation of $\sigma'$, by the chain rule:
#
# $$\sigma'(z) = \frac{e^{-z}}{(1 + e^{-z})^2} = \frac{1}{1 + e^{-z}} \cdot \frac{(1 + e^{-z}) - 1}{1 + e^{-z}} = \sigma(z)\,(1 - \sigma(z))$$
#
# ### Maximum likelihood, and the logarithm that turns a product into a sum
#
# With $p_i = \sigma(w \cdot x_i + b)$ the probability of all labels is a product. Its logarithm is a sum, which has the maximum at the same
# weights, whose derivative is simple, and which does not underflow. With a minus sign, divided by $m$, it is the *cross-entropy*:
#
# $$P = \prod_{i=1}^{m} p_i^{y_i} (1 - p_i)^{1 - y_i}, \qquad E = -\frac{1}{m} \ln P = -\frac{1}{m} \sum_{i=1}^{m} \left( y_i \ln p_i + (1 - y_i) \ln (1 - p_i) \right)$$
#
# Code: `docs.course.lessons.basics.perceptron.cross_entropy`
#
# ### The gradient step
#
# In the derivative of $E$ the factor $\sigma'$ cancels, and the perceptron's rule is left, with a probability in place of a decision:
#
# $$\frac{\partial E}{\partial w_j} = -\frac{1}{m} \sum_{i=1}^{m} (y_i - p_i)\,x_{ij}, \qquad w \leftarrow w + \frac{\eta}{m} \sum_{i=1}^{m} (y_i - p_i)\,x_i$$
#
# Code: `docs.course.lessons.basics.perceptron.logistic_step`
#
# Derivation, for one row, with $p = \sigma(z)$ and $\partial z / \partial w_j = x_j$:
#
# $$\frac{\partial}{\partial z} \left( y \ln p + (1 - y) \ln(1 - p) \right) = \left( \frac{y}{p} - \frac{1 - y}{1 - p} \right) p\,(1 - p) = y\,(1 - p) - (1 - y)\,p = y - p$$
#
# The product of four probabilities and its logarithm:

# %%
import numpy as np

from docs.course.lessons.basics import perceptron

y = np.array([1.0, 0.0, 1.0, 1.0])
p = np.array([0.9, 0.2, 0.6, 0.3])
likelihood = np.prod(np.where(y == 1, p, 1 - p))
print(f"P = {likelihood:.4f}, -ln P / 4 = {-np.log(likelihood) / 4:.4f}, E = {perceptron.cross_entropy(y, p):.4f}")
assert np.isclose(-np.log(likelihood) / 4, perceptron.cross_entropy(y, p))

# %% [markdown]
# ## Exercises
#
# ### 1. Logical AND
#
# Find weights and a bias by hand with which a perceptron computes AND of two inputs, and check all four rows.

# %% starter
rows = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
w, b = np.array([0.0, 0.0]), 0.0  # your weights and your bias

# check
decisions = (rows @ w + b > 0).astype(int)
assert decisions.tolist() == [0, 0, 0, 1], (
    f"not yet: AND of the four rows is [0, 0, 0, 1], this gives {decisions.tolist()}"
)
print("right: all four rows")

# %% solution
rows = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
w, b = np.array([1.0, 1.0]), -1.5
decisions = (rows @ w + b > 0).astype(int)
print(decisions)
assert decisions.tolist() == [0, 0, 0, 1]

# %% [markdown] why
# AND is 1 only where both inputs are 1, so the bias must lie between one and two weights below zero. With weights of 1 the sum
# $z$ is -1.5, -0.5, -0.5 and 0.5, which is positive in the last row only. Every bias between -2 and -1 gives the same decisions:
# the data does not fix the line, many lines separate it.

# %% [markdown]
# ### 2. Logical XOR
#
# Train a perceptron on XOR with `perceptron_step`. Does it ever have all four rows right? Why not?

# %% solution
targets, w, b, best = np.array([0, 1, 1, 0]), np.zeros(2), 0.0, 0
for _ in range(100):
    for i in range(4):
        w, b = perceptron.perceptron_step(w, b, rows[i : i + 1], targets[i : i + 1], rate=0.5)
        best = max(best, int(((rows @ w + b > 0) == targets).sum()))
print(f"at most {best} of 4 rows are right: no line has (0, 1) and (1, 0) on one side and the others on the other")
assert best < 4

# %% [markdown] why
# A perceptron decides by one line. For XOR the rows (0, 0) and (1, 1) need $b \le 0$ and $w_1 + w_2 + b \le 0$, the other two
# $w_1 + b > 0$ and $w_2 + b > 0$. The last two add up to $w_1 + w_2 + 2b > 0$, the first two to $w_1 + w_2 + 2b \le 0$, which is
# a contradiction. The perceptron converges only on separable data, so here its weights never come to rest; a hidden layer is
# needed.

# %% [markdown]
# ### 3. The gradient
#
# Check the formula of the gradient against the difference of two cross-entropies, for random rows.

# %% starter
random = np.random.default_rng(0)
x, y, w, b = random.normal(size=(50, 3)), random.integers(0, 2, 50), random.normal(size=3), 0.1
formula = np.zeros(3)  # your formula of the gradient by w

# check
step = 1e-6 * np.eye(3)
ends = [[perceptron.cross_entropy(y, perceptron.sigmoid(x @ (w + sign * s) + b)) for s in step] for sign in (1, -1)]
expected = (np.array(ends[0]) - ends[1]) / 2e-6
assert np.allclose(formula, expected, atol=1e-7), (
    f"not yet: the differences are {expected}, the formula gives {formula}"
)
print("right: the formula is the gradient")

# %% solution
random = np.random.default_rng(0)
x, y, w, b = random.normal(size=(50, 3)), random.integers(0, 2, 50), random.normal(size=3), 0.1
formula = -x.T @ (y - perceptron.sigmoid(x @ w + b)) / len(y)


def loss(w):
    """Return the cross-entropy of the rows at weights w."""
    return perceptron.cross_entropy(y, perceptron.sigmoid(x @ w + b))


moves = 1e-6 * np.eye(3)
differences = [(loss(w + move) - loss(w - move)) / 2e-6 for move in moves]
print(formula, differences)
assert np.allclose(formula, differences, atol=1e-7)

# %% [markdown] why
# The derivative of $\ln \sigma(z)$ is $1 - \sigma(z)$, because $\sigma' = \sigma (1 - \sigma)$ cancels the denominator; that of
# $\ln(1 - \sigma(z))$ is $-\sigma(z)$. Both together are $y - p$, times $x$ by the chain rule. The central difference has an
# error of the order of the squared step, so $10^{-6}$ leaves only rounding errors of about $10^{-10}$.
