# %% [markdown]
# # Embeddings, sentiment and attention
#
# ## The idea
#
# To a network a word is a number in a vocabulary, which says nothing about its meaning. An *embedding* gives each word a vector, and word2vec
# learns it from a simple task: which words stand near which? Words in the same company get similar vectors. With vectors of
# words a small network can classify a review. To translate, a network has to look back at the right place of its input: *attention* computes, for
# each word that it writes, how much each word that it has read matters.

# %% [markdown]
# ## Formulas
#
# ### Skip-gram with negative sampling
#
# $v_w$ is the vector of a word, $u_c$ that of a neighbour; $k$ words $n_i$ are drawn at random as negative samples:
#
# $$E = -\ln \sigma(u_c \cdot v_w) - \sum_{i=1}^{k} \ln \sigma(-u_{n_i} \cdot v_w)$$
#
# Code: `zoo.models.word2vec.SkipGram.chunk_loss`
#
# ### Subsampling of frequent words
#
# A word of frequency $f(w)$ is dropped with the probability ($t$ is about $10^{-4}$)
#
# $$P_{\mathrm{drop}}(w) = 1 - \sqrt{\frac{t}{f(w)}}$$
#
# Code: `zoo.tasks.text.word_embeddings.WordEmbeddings`
#
# With $t = f(w)$ it is zero, and of a word that is a hundred times as frequent it drops nine tenths: what is kept grows with the
# square root of the frequency only.
#
# ### Cosine
#
# $$\cos(a, b) = \frac{a \cdot b}{\lVert a \rVert\,\lVert b \rVert}$$
#
# Code: `docs.course.lessons.sequences.text.nearest`
#
# ### Sentiment by hand
#
# The words $w_1, \dots, w_n$ of a review, a hidden layer without activation, a sigmoid; the label is $y$:
#
# $$h = \sum_{i=1}^{n} V_{w_i}, \qquad \hat y = \sigma(h \cdot u), \qquad V_{w_i} \leftarrow V_{w_i} + \eta\,(y - \hat y)\,u, \qquad u \leftarrow u + \eta\,(y - \hat y)\,h$$
#
# Code: `docs.course.lessons.sequences.text.train_by_hand`
#
# ### Additive and multiplicative attention
#
# $s$ is the decoder's state (query), $h_j$ the encoder's states. The score says how well they match, $a$ are the weights, $c$ is the context:
#
# $$e_j^{\mathrm{Bahdanau}} = v^\top \tanh(W s + U h_j), \qquad e_j^{\mathrm{Luong}} = s^\top W h_j$$
#
# $$a_j = \frac{e^{e_j}}{\sum_i e^{e_i}}, \qquad c = \sum_j a_j h_j$$
#
# Code: `zoo.models.attention.Translator.attention_output`, `zoo.models.attention.attention`
#
# ### Teacher forcing and beam search
#
# In training the decoder is given the right previous character $y_{t-1}$, not its own (*teacher forcing*), so that all steps have a target:
#
# $$E = -\sum_t \ln p(y_t \mid y_1, \dots, y_{t-1}, x)$$
#
# Then it is given its own. *Beam search* keeps the $k$ best beginnings by their sum of logarithms, divided by the length, in place of the one
# that is best at each step.
#
# Code: `zoo.tasks.text.translation.Translation`, `zoo.tasks.text.decoding.beam_search`
#
# ### From attention to a Transformer
#
# In *self-attention* queries, keys and values are all made of the same sequence $x$ (rows $x_t$ of width $d$), and a *causal* mask keeps each
# position from those after it:
#
# $$Q = x W_Q, \quad K = x W_K, \quad V = x W_V, \qquad A = \mathrm{softmax}\left( \frac{Q K^\top}{\sqrt{d}} + M \right), \qquad M_{ij} = \begin{cases} 0 & j \le i \\ -\infty & j > i \end{cases}$$
#
# The scores are divided by $\sqrt{d}$, because an inner product of two vectors of $d$ independent numbers of variance 1 has the
# variance $d$: without it the softmax of a wide layer would be nearly one-hot, and its gradient nearly zero.
#
# Several *heads* do this with narrower matrices, and their outputs $A V$ are joined and multiplied by $W_O$. A *block* adds that to its input,
# and then adds a dense network of each position, both of layer-normalised inputs:
#
# $$x \leftarrow x + \mathrm{heads}(\mathrm{norm}(x)), \qquad x \leftarrow x + W_2\,\mathrm{gelu}(W_1\,\mathrm{norm}(x))$$
#
# Attention does not know the order, so that positions are added to the embeddings or, here, rotate queries and keys (Su 2021,
# arXiv:2104.09864). Several blocks, a last normalisation and a dense layer of the size of the vocabulary are a language model.
#
# Code: `zoo.modeling.sequences.transformer.CausalBlock`, `zoo.models.text_transformer.text_transformer`
#
# The loss of word2vec by hand and by `SkipGram`:

# %%
import numpy as np
import tensorflow as tf

import zoo
from docs.course.lessons.sequences import text


def sigmoid(z):
    """Return the sigmoid."""
    return 1 / (1 + np.exp(-z))


model = zoo.build("word2vec", vocabulary_size=50, embedding_dim=8, negatives=3.0)
for table in (model.words, model.neighbours):
    table.embeddings.assign(np.random.default_rng(0).normal(size=(50, 8)))
v, u = model.words.embeddings.numpy(), model.neighbours.embeddings.numpy()
by_hand = -np.log(sigmoid(u[7] @ v[5])) - sum(np.log(sigmoid(-u[n] @ v[5])) for n in (11, 12, 13))
loss, pairs = model.chunk_loss(tf.constant([[0, 5, 7]]), tf.constant([[1]]), tf.constant([[11, 12, 13]]))
print(f"by hand {by_hand:.5f}, by the model {float(loss / pairs):.5f}")
assert np.isclose(by_hand, float(loss / pairs), atol=1e-4)

# %% [markdown]
# Causal self-attention of one head by the formulas, and by Keras:

# %%
import keras

x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
layer = keras.layers.MultiHeadAttention(num_heads=1, key_dim=4, use_bias=False)
expected = layer(x[None], x[None], use_causal_mask=True)[0]
w_query, w_key, w_value, w_output = (w.reshape(4, 4) for w in layer.get_weights())
scores = (x @ w_query) @ (x @ w_key).T / np.sqrt(4)
scores[np.triu_indices(5, 1)] = -np.inf  # positions that come later
weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
print(weights.round(2))
assert np.allclose(weights @ (x @ w_value) @ w_output, expected, atol=1e-5)

# %% [markdown]
# ## Exercises
#
# ### 1. Analogies
#
# With the shipped vectors: which word is nearest to *king - man + woman*? Try two more of your own.

# %% solution
words, unit = text.unit_vectors()
place = {word: i for i, word in enumerate(words)}
vector = unit[place["king"]] - unit[place["man"]] + unit[place["woman"]]
found = text.nearest(words, unit, vector, ("king", "man", "woman"), 3)
print(found)
assert "queen" in found

# %% [markdown] why
# The vectors are trained so that words with the same neighbours lie in the same direction. *king* and *man* share the contexts of
# men and *king* and *queen* those of rulers, so the difference of the first pair is mostly that of royalty, which is added to
# *woman*. The three words of the question are left out, since one of them is nearly always nearest. Analogies of rare words fail:
# their vectors saw few contexts.

# %% [markdown]
# ### 2. Attention by hand
#
# Compute multiplicative attention of one query over three states by the formulas, and compare with `keras.layers.Attention`.

# %% starter
random = np.random.default_rng(1)
query, states = random.normal(size=(1, 1, 4)).astype("float32"), random.normal(size=(1, 3, 4)).astype("float32")
weights = np.ones(3) / 3  # your weights of the three states

# check
assert np.isclose(weights.sum(), 1), f"not yet: the weights sum to {weights.sum()}, not to 1"
expected = np.asarray(keras.layers.Attention()([query, states]))[0, 0]
assert np.allclose(weights @ states[0], expected, atol=1e-5), (
    f"not yet: the context is {expected}, your weights give {weights @ states[0]}"
)
print("right: the context is that of Keras")

# %% solution
random = np.random.default_rng(1)
query, states = random.normal(size=(1, 1, 4)).astype("float32"), random.normal(size=(1, 3, 4)).astype("float32")
scores = query[0, 0] @ states[0].T
weights = np.exp(scores) / np.exp(scores).sum()
context = weights @ states[0]
assert np.allclose(keras.layers.Attention()([query, states])[0, 0], context, atol=1e-5)
assert np.isclose(weights.sum(), 1)

# %% [markdown] why
# The scores are the inner products of the query with each state, the softmax makes weights of them that sum to 1, and the context
# is the weighted mean of the states. `keras.layers.Attention` computes the same for a batch, without a scale by default. A state
# that points in the direction of the query has the largest weight.

# %% [markdown]
# ### 3. Which words are dropped
#
# With $t = 10^{-4}$: how often are a word that makes 5 % of a text and one that makes 0.01 % dropped?

# %% solution
drop = {share: max(0.0, 1 - np.sqrt(1e-4 / share)) for share in (0.05, 0.0001)}
print(drop)
assert drop[0.05] > 0.95
assert drop[0.0001] == 0

# %% [markdown] why
# A word of the share $f$ is dropped with the probability $1 - \sqrt{t / f}$. For 5 % that is $1 - \sqrt{0.002} = 0.955$: words
# such as *the* tell little about their neighbours and would fill nearly all windows. At $f = t$ the formula is 0, so words that
# make at most 0.01 % of the text are all kept.
