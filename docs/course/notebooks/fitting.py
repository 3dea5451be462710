# %% [markdown]
# # Under- and overfitting
#
# ## The idea
#
# A network that is too small, or trained too short, does not even fit its training data: *underfitting*. One that fits them too well
# has learnt their noise, and is worse on new data: *overfitting*. The validation loss, on data that the training does not see, tells the
# two apart. The remedies are: stop early, penalise large weights, switch units off at random, and more data. How the optimizer moves
# (momentum, learning rate, batch size) decides how fast and how far down the training gets.

# %% [markdown]
# ## Formulas
#
# $E$ is the loss on the data, $w$ the weights, $\eta$ the learning rate, $g_t$ the gradient of step $t$.
#
# ### L1 and L2
#
# $$E_{L1} = E + \lambda \sum_j |w_j|, \qquad E_{L2} = E + \lambda \sum_j w_j^2$$
#
# The derivative of the L1 penalty is $\pm\lambda$ however small a weight is, so many weights reach zero. That of L2 is $2 \lambda w_j$:
# large weights shrink most, none becomes exactly zero.
#
# Code: `zoo.core.recipe.Recipe`, `docs.course.lessons.basics.fitting.penalty`
#
# ### Dropout
#
# In training each unit is kept with probability $1 - r$, and what is kept is scaled up, so that the expected value stays the same. For
# predictions nothing is dropped:
#
# $$\tilde h = \frac{d \odot h}{1 - r}, \qquad d_j \sim \mathrm{Bernoulli}(1 - r), \qquad \mathbb{E}[\tilde h] = h$$
#
# Code: `docs.course.lessons.basics.fitting.dropped`
#
# Derivation of the mean: $\mathbb{E}[\tilde h_j] = (1 - r) \cdot h_j / (1 - r) + r \cdot 0 = h_j$.
#
# ### Momentum
#
# The step is a moving sum of gradients. Along a valley they add up to $1 / (1 - \beta)$ of one; across it they cancel:
#
# $$v_t = \beta v_{t-1} - \eta\,g_t, \qquad w_t = w_{t-1} + v_t$$
#
# Code: `docs.course.lessons.basics.fitting.momentum_step`
#
# Derivation: with the same gradient $g$ in every step the velocity is a geometric series,
#
# $$v_t = -\eta\,g\,(1 + \beta + \dots + \beta^{t-1}) = -\eta\,g\,\frac{1 - \beta^t}{1 - \beta} \to -\frac{\eta\,g}{1 - \beta}$$
#
# with $\beta = 0.9$ ten times a step without momentum. Gradients of alternating sign give $1 / (1 + \beta)$ in place of $1 / (1 -
# \beta)$.
#
# Nesterov's form, which `recipe.optimizer=sgd` with `recipe.momentum` trains with, takes the gradient where the velocity leads:
#
# $$w_t = w_{t-1} + \beta v_t - \eta\,g_t$$
#
# ### Adam
#
# Moving averages of the gradient and of its square, corrected for their start at zero, give each weight its own step, whose size hardly
# depends on the scale of the gradient (Kingma, Ba 2015). The default of most recipes; $\beta_1 = 0.9$, $\beta_2 = 0.999$:
#
# $$m_t = \beta_1 m_{t-1} + (1 - \beta_1)\,g_t, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2)\,g_t^2$$
#
# $$w_t = w_{t-1} - \eta\,\frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}$$
#
# Code: `zoo.training.optimizers.make_optimizer`
#
# Derivation of the correction: with a constant gradient $g$ the average is $m_t = (1 - \beta_1)\,g\,(1 + \beta_1 + \dots +
# \beta_1^{t-1}) = (1 - \beta_1^t)\,g$, too small by the factor by which it is divided; the same holds for $v_t$. The step is then
# $\eta\,g / |g|$, whatever the scale of $g$.
#
# ### Learning rate decay
#
# $$\eta_t = \frac{\eta_0}{2} \left( 1 + \cos \frac{\pi t}{T} \right) \quad (\mathrm{cosine}), \qquad \eta_t = \eta_0\,d^{\lfloor t / s \rfloor} \quad (\mathrm{steps})$$
#
# Code: `zoo.core.recipe.Recipe`
#
# Dropout keeps the mean and makes it noisy:

# %%
import keras
import numpy as np

from docs.course.lessons.basics import fitting

hidden = np.ones((1000, 50))
thinned = fitting.dropped(hidden, rate=0.4, seed=0)
print(f"mean {thinned.mean():.3f}, share of zeros {(thinned == 0).mean():.3f}")
assert abs(thinned.mean() - 1) < 0.02
assert abs((thinned == 0).mean() - 0.4) < 0.02

# %% [markdown]
# Three steps of Adam by the formulas, and by Keras:

# %%
weight, mean, square = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
variable, adam = keras.Variable(weight), keras.optimizers.Adam(0.1, epsilon=1e-7)
for t, gradient in enumerate(np.array([[0.5, -40.0], [0.1, -10.0], [-0.2, 5.0]]), start=1):
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient**2
    weight = weight - 0.1 * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-7)
    adam.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
print(weight, keras.ops.convert_to_numpy(variable))
assert np.allclose(weight, keras.ops.convert_to_numpy(variable), atol=1e-5)

# %% [markdown]
# ## Exercises
#
# ### 1. L1 makes zeros
#
# Fit a line to data in which only two of twenty columns matter, with scikit-learn's `Lasso` (L1) and `Ridge` (L2). Count the zeros.

# %% solution
from sklearn.linear_model import Lasso, Ridge

random = np.random.default_rng(0)
x = random.normal(size=(100, 20))
y = 3 * x[:, 0] - 2 * x[:, 1] + random.normal(size=100)
zeros = {type(m).__name__: int((m.fit(x, y).coef_ == 0).sum()) for m in (Lasso(alpha=0.2), Ridge(alpha=20))}
print(zeros)
assert zeros["Lasso"] > 10
assert zeros["Ridge"] == 0

# %% [markdown] why
# The derivative of $|w|$ has the same size however small $w$ is, so a weight whose benefit is smaller than the penalty is pushed
# all the way to 0 and stays there. The derivative of $w^2$ vanishes with $w$: L2 shrinks all weights but has no reason to stop at
# 0. Eighteen columns are noise, and nearly all of them are removed; L1 therefore selects columns.

# %% [markdown]
# ### 2. Momentum in Keras
#
# Show that `momentum_step` gives the same weights as `keras.optimizers.SGD` for ten steps on $E = w_1^2 + 10 w_2^2$.


# %% starter
def step(w, velocity, gradient, rate, beta):
    """Return the weights and the velocity after a step with momentum."""
    return w, velocity  # your formula


# check
expected = fitting.momentum_step(np.array([1.0, -2.0]), np.array([0.5, 0.1]), np.array([2.0, 3.0]), rate=0.1, beta=0.9)
answer = step(np.array([1.0, -2.0]), np.array([0.5, 0.1]), np.array([2.0, 3.0]), rate=0.1, beta=0.9)
assert np.allclose(answer[1], expected[1]), f"not yet: the velocity is {expected[1]}, not {answer[1]}"
assert np.allclose(answer[0], expected[0]), f"not yet: the weights are {expected[0]}, not {answer[0]}"
print("right: now compare it with Keras")

# %% solution
step = fitting.momentum_step
ours, velocity = np.array([1.0, 1.0]), np.zeros(2)
theirs, optimizer = keras.Variable([1.0, 1.0]), keras.optimizers.SGD(0.01, momentum=0.9)
for _ in range(10):
    ours, velocity = step(ours, velocity, np.array([2.0, 20.0]) * ours, rate=0.01, beta=0.9)
    optimizer.apply([np.array([2.0, 20.0], "float32") * theirs.numpy()], [theirs])
print(ours, theirs.numpy())
assert np.allclose(ours, theirs.numpy(), atol=1e-5)

# %% [markdown] why
# Both keep a velocity, an average of earlier gradients that decays by $\beta$, and move by it. Along $w_1$ the gradients have the
# same sign, so that the velocity grows to up to $1 / (1 - \beta) = 10$ times one step; along the steep $w_2$ they alternate and
# partly cancel. Equal results show that the formula is the one that Keras computes.

# %% [markdown]
# ### 3. Overfit on purpose
#
# Fit polynomials of degree 1, 3 and 12 to fifteen noisy points of a sine, and compare the errors on training and new points. Which
# underfits, which overfits?

# %% solution
random = np.random.default_rng(3)
x, new = np.sort(random.uniform(-1, 1, 15)), np.linspace(-0.95, 0.95, 200)
y = np.sin(3 * x) + random.normal(0, 0.2, 15)
errors = {}
for degree in (1, 3, 12):
    fit = np.polynomial.Polynomial.fit(x, y, degree)
    errors[degree] = float(np.mean((fit(x) - y) ** 2)), float(np.mean((fit(new) - np.sin(3 * new)) ** 2))
print(errors, "degree 1 underfits, degree 12 overfits")
assert errors[12][0] < errors[3][0] < errors[1][0]
assert errors[3][1] < min(errors[1][1], errors[12][1])

# %% [markdown] why
# The training error falls with every degree, because each polynomial contains those of lower degree. The error on new points has
# a minimum: degree 1 cannot follow the curve (bias), and degree 12 has almost as many coefficients as there are points and
# follows the noise (variance). Only the error on points that were not used for fitting shows the difference.
