# %% [markdown]
# # Recurrent networks
#
# ## The idea
#
# A recurrent network reads a sequence step by step and keeps a *state*, which it updates by the same weights in every step. Unrolled in time
# it is a deep network with one layer per step, and has the same trouble: gradients vanish or explode. Elman's network (1990) is
# this plain cell. LSTM (1997) and GRU (2014) add *gates*, numbers between 0 and 1 that decide how much of the old state is kept. A
# gate that stays open passes state and gradient on unchanged, over many steps.

# %% [markdown]
# ## Formulas
#
# $x_t$ is the input of step $t$, $h_t$ the state, $\sigma$ the sigmoid, $\odot$ the product element by element.
#
# ### Plain cell
#
# $$h_t = \tanh(x_t W + h_{t-1} U + b)$$
#
# Code: `docs.course.lessons.sequences.recurrent.plain_step`, `zoo.models.text_rnn.text_rnn`
#
# ### Backpropagation through time
#
# The loss of step $T$ reaches step $k$ through a product of $T - k$ Jacobian matrices, that of the last step first (states and gradients are
# rows). With factors smaller than one it vanishes, with larger
# ones it explodes, which is why the norm of the gradient $g$ is clipped to $c$:
#
# $$\frac{\partial E_T}{\partial h_k} = \frac{\partial E_T}{\partial h_T} \prod_{t=T}^{k+1} \frac{\partial h_t}{\partial h_{t-1}}, \qquad \frac{\partial h_t}{\partial h_{t-1}} = \mathrm{diag}(1 - h_t^2)\,U^\top, \qquad g \leftarrow g \cdot \min\left( 1, \frac{c}{\lVert g \rVert} \right)$$
#
# Code: `docs.course.lessons.sequences.recurrent.gradient_through_time`, `zoo.training.optimizers.make_optimizer`
#
# Derivation: $h_t = \tanh(z_t)$ with $z_t = x_t W + h_{t-1} U + b$, so that $\partial h_{t,j} / \partial h_{t-1,i} = (1 -
# h_{t,j}^2)\,U_{ij}$. The chain rule multiplies one such matrix for each step, and the norm of the product lies below the product
# of the norms: at most $(\max_j (1 - h_j^2) \lVert U \rVert)^{T - k}$.
#
# ### LSTM
#
# Forget gate $f$, input gate $i$, output gate $o$, candidate $\tilde c$, cell state $c$:
#
# $$f_t = \sigma(x_t W_f + h_{t-1} U_f + b_f), \qquad i_t = \sigma(x_t W_i + h_{t-1} U_i + b_i)$$
#
# $$o_t = \sigma(x_t W_o + h_{t-1} U_o + b_o)$$
#
# $$\tilde c_t = \tanh(x_t W_c + h_{t-1} U_c + b_c), \qquad c_t = f_t \odot c_{t-1} + i_t \odot \tilde c_t, \qquad h_t = o_t \odot \tanh(c_t)$$
#
# Code: `docs.course.lessons.sequences.recurrent.lstm_step`
#
# ### GRU
#
# Update gate $z$, reset gate $r$ (in the form of Keras and cuDNN the reset gate multiplies after the matrix):
#
# $$z_t = \sigma(x_t W_z + h_{t-1} U_z + b_z), \qquad r_t = \sigma(x_t W_r + h_{t-1} U_r + b_r)$$
#
# $$\tilde h_t = \tanh(x_t W_h + r_t \odot (h_{t-1} U_h + b_{h}') + b_h), \qquad h_t = z_t \odot h_{t-1} + (1 - z_t) \odot \tilde h_t$$
#
# Code: `docs.course.lessons.sequences.recurrent.gru_step`
#
# ### Temperature
#
# A text is written character by character, each drawn from the softmax of the logits $l$, which are divided by a temperature $\tau$: below one
# the likeliest characters gain, above one the others do, and in the limit of zero the likeliest is always taken.
#
# $$p_i = \frac{e^{l_i / \tau}}{\sum_j e^{l_j / \tau}}$$
#
# Code: `zoo.tasks.text.decoding.sampler`
#
# Derivation of the limits: the quotient of two probabilities is $p_i / p_j = e^{(l_i - l_j) / \tau}$. For $l_i > l_j$ it grows
# without bound as $\tau \to 0$, and goes to 1, the uniform distribution, as $\tau \to \infty$.
#
# ### Cross-entropy of a text
#
# $$H = -\frac{1}{T} \sum_{t=1}^{T} \log_2 p(x_t \mid x_1, \dots, x_{t-1}) \quad \mathrm{bits\ per\ character}$$
#
# Code: `zoo.tasks.text.language_modeling.LanguageModeling`
#
# The formulas of LSTM and GRU against the layers of Keras:

# %%
import keras
import numpy as np

from docs.course.lessons.sequences import recurrent

x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
for layer, step, states in (
    (keras.layers.SimpleRNN(5), recurrent.plain_step, 1),
    (keras.layers.LSTM(5), recurrent.lstm_step, 2),
    (keras.layers.GRU(5), recurrent.gru_step, 1),
):
    expected = np.asarray(layer(x))
    state = (np.zeros((2, 5)),) * states
    for t in range(6):
        state = step(x[:, t], state, layer.get_weights())
    print(f"{type(layer).__name__}: largest difference {np.abs(state[0] - expected).max():.1e}")
    assert np.allclose(state[0], expected, atol=1e-5)

# %% [markdown]
# ## Exercises
#
# ### 1. Parameters of the cells
#
# How many parameters do SimpleRNN, LSTM and GRU with 32 units have for inputs of 16? Derive the numbers from the formulas.

# %% starter
n, u = 16, 32
counts = {keras.layers.SimpleRNN: 0, keras.layers.LSTM: 0, keras.layers.GRU: 0}  # your numbers

# check
for kind, count in counts.items():
    layer = kind(u)
    layer.build((None, None, n))
    assert layer.count_params() == count, f"not yet: {kind.__name__} has {layer.count_params()} parameters, not {count}"
print("right: all three")

# %% solution
n, u = 16, 32
counts = {
    keras.layers.SimpleRNN: n * u + u * u + u,
    keras.layers.LSTM: 4 * (n * u + u * u + u),
    keras.layers.GRU: 3 * (n * u + u * u + 2 * u),  # two biases
}
for kind, count in counts.items():
    layer = kind(u)
    layer.build((None, None, n))
    assert layer.count_params() == count, kind

# %% [markdown] why
# Each gate is a dense layer of the input ($n u$), the last state ($u^2$) and a bias ($u$). SimpleRNN has one, LSTM four (input,
# forget and output gate, candidate), GRU three. Keras' GRU keeps separate biases for the input and the state, because it applies
# the reset gate after the matrix product; that is how cuDNN computes it.

# %% [markdown]
# ### 2. A gate that stays open
#
# Set forget gate to 1 and input gate to 0 in an LSTM step. What is the cell state after 100 steps? And after 100 steps of a plain cell whose
# $U$ is 0.9 times the identity?

# %% solution
cell, plain = 0.7, 0.7
for _ in range(100):
    cell = 1.0 * cell + 0.0 * np.tanh(0.3)
    plain = np.tanh(0.9 * plain)
print(f"LSTM {cell}, plain {plain:.1e}")
assert cell == 0.7
assert plain < 1e-4

# %% [markdown] why
# With $f = 1$ and $i = 0$ the step is $c_t = c_{t-1}$: nothing multiplies the state, and nothing multiplies its gradient. The
# plain cell multiplies by 0.9 in each step, and 100 steps leave at most $0.9^{100} \approx 3 \cdot 10^{-5}$; tanh shrinks it
# further. The gradient through time has the same factors, which is why LSTM learns longer dependencies.

# %% [markdown]
# ### 3. Bits per character
#
# What is the cross-entropy in bits of a text of two letters, of which one has the probability 0.9 in every place, and what does a model that
# guesses half and half have?

# %% solution
truth = np.array([0.9, 0.1])
entropy = -np.sum(truth * np.log2(truth))
guess = -np.sum(truth * np.log2([0.5, 0.5]))
print(f"the best model {entropy:.3f} bits, guessing {guess:.3f}")
assert np.isclose(guess, 1)
assert np.isclose(entropy, 0.469, atol=1e-3)

# %% [markdown] why
# The entropy is the smallest mean number of bits with which the text can be coded: frequent letters cost less than one bit,
# $-\log_2 0.9 = 0.15$, rare ones more, $-\log_2 0.1 = 3.3$. A model that guesses half and half pays one bit for every letter. The
# difference, 0.53 bits, is the Kullback-Leibler divergence between truth and model: what its error costs.
