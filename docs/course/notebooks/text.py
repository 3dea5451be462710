# %% [markdown]
# # Embeddings, sentiment and attention
#
# ## The idea
#
# To a network a word is a number in a vocabulary, which says nothing about its meaning. An *embedding* gives each word a vector, and word2vec
# learns it from a simple task: which words stand near which? Words in the same company get similar vectors. With vectors of
# words a small network can judge a review. To translate, a network has to look back at the right place of its input: *attention* computes, for
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

# %% [markdown]
# ### 2. Attention by hand
#
# Compute multiplicative attention of one query over three states by the formulas, and compare with `keras.layers.Attention`.

# %% solution
import keras

random = np.random.default_rng(1)
query, states = random.normal(size=(1, 1, 4)).astype("float32"), random.normal(size=(1, 3, 4)).astype("float32")
scores = query[0, 0] @ states[0].T
weights = np.exp(scores) / np.exp(scores).sum()
context = weights @ states[0]
assert np.allclose(keras.layers.Attention()([query, states])[0, 0], context, atol=1e-5)
assert np.isclose(weights.sum(), 1)

# %% [markdown]
# ### 3. Which words are dropped
#
# With $t = 10^{-4}$: how often are a word that makes 5 % of a text and one that makes 0.01 % dropped?

# %% solution
drop = {share: max(0.0, 1 - np.sqrt(1e-4 / share)) for share in (0.05, 0.0001)}
print(drop)
assert drop[0.05] > 0.95
assert drop[0.0001] == 0
