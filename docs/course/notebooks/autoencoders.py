# %% [markdown]
# # Autoencoders and style transfer
#
# ## The idea
#
# An autoencoder squeezes an image into a short *code* and draws it again: what does not help to draw typical images is lost, noise first of
# all. Its second half, the decoder, has to make a large image of a small one, by transposed convolutions or by enlarging and convolving.
# Style transfer changes the pixels of an image until two things hold: the features of a trained network stay those of the photograph, and
# the *correlations* between its features become those of the painting.

# %% [markdown]
# ## Formulas
#
# ### Reconstruction
#
# Encoder $f$, decoder $g$, $n$ pixels. For denoising the input is $x$ with noise $\epsilon$, the target is $x$:
#
# $$E = \frac{1}{n} \lVert x - g(f(x)) \rVert^2, \qquad E_{\mathrm{denoising}} = \frac{1}{n} \lVert x - g(f(x + \epsilon)) \rVert^2$$
#
# Code: `zoo.models.autoencoder.Autoencoder`, `docs.course.lessons.images.autoencoders.mean_squared_error`
#
# ### Gram matrix
#
# $F^l$ are the features of layer $l$ with $C_l$ channels at $M_l$ positions. The Gram matrix keeps which channels are active
# together, and forgets where:
#
# $$G^l_{ij} = \frac{1}{M_l} \sum_{k=1}^{M_l} F^l_{ki} F^l_{kj}$$
#
# Code: `zoo.modeling.perceptual_loss.gram_matrix`
#
# ### Content and style loss
#
# $P^l$ are the features of the photograph, $A^l$ the Gram matrices of the painting, $w_l$ the weights of the style layers:
#
# $$L_{\mathrm{content}} = \frac{1}{2} \sum_{k,c} (F^l_{kc} - P^l_{kc})^2, \qquad L_{\mathrm{style}} = \frac{1}{\sum_l w_l} \sum_l \frac{w_l}{4 C_l^2} \sum_{i,j} (G^l_{ij} - A^l_{ij})^2$$
#
# $$L = \alpha\,L_{\mathrm{content}} + \beta\,L_{\mathrm{style}}$$
#
# Code: `zoo.modeling.perceptual_loss.content_loss`, `zoo.modeling.perceptual_loss.style_loss`
#
# ### Two decoders
#
# A transposed convolution of stride $S$, kernel $F$ and padding $P$ has the output side $(W - 1)S - 2P + F$. Where $F$ is not
# divisible by $S$, neighbouring pixels get a different number of contributions: a checkerboard. Enlarging by
# nearest neighbours and convolving does not have it.
#
# Code: `zoo.models.autoencoder.autoencoder`, `zoo.models.unet.unet`, `zoo.modeling.layers.NearestUpsampling2D`
#
# A Gram matrix does not change when the positions are exchanged:

# %%
import numpy as np
import tensorflow as tf

from zoo.modeling.perceptual_loss import gram_matrix

random = np.random.default_rng(0)
features = random.normal(size=(1, 6, 6, 4)).astype("float32")
moved = features.reshape(1, 36, 4)[:, random.permutation(36)].reshape(1, 6, 6, 4)
by_hand = features.reshape(36, 4).T @ features.reshape(36, 4) / 36
assert np.allclose(gram_matrix(tf.constant(features))[0], by_hand, atol=1e-5)
assert np.allclose(gram_matrix(tf.constant(moved))[0], by_hand, atol=1e-5)
print(by_hand.round(2))

# %% [markdown]
# ## Exercises
#
# ### 1. The checkerboard
#
# Apply a transposed convolution whose kernel is all ones, with stride 2 and kernels of 3 and of 4, to an image of ones. Where is the
# result even?

# %% starter
import keras

size = 3  # your size of a kernel with which the result is even

# check
layer = keras.layers.Conv2DTranspose(1, size, 2, "same", kernel_initializer="ones")
inner = np.asarray(layer(np.ones((1, 8, 8, 1), "float32")))[0, 3:-3, 3:-3, 0]
assert inner.max() == inner.min(), (
    f"not yet: with kernels of {size} the result is {sorted(set(inner.ravel().tolist()))}"
)
print("right: every place of the result gets the same number of contributions")

# %% solution
import keras

spread = {}
for size in (3, 4):
    layer = keras.layers.Conv2DTranspose(1, size, 2, "same", kernel_initializer="ones")
    inner = np.asarray(layer(np.ones((1, 8, 8, 1), "float32")))[0, 3:-3, 3:-3, 0]
    spread[size] = float(inner.max() - inner.min())
print(spread, "4 is divisible by 2, 3 is not")
assert spread[4] == 0 < spread[3]

# %% [markdown] why
# With stride 2 every second place of the output gets contributions of other kernel columns. A kernel of 4 covers each place with
# exactly two columns a side, a kernel of 3 alternately with one and two. Equal inputs then give unequal outputs in a pattern of
# squares. A network can learn weights that compensate, but it begins with the pattern.

# %% [markdown]
# ### 2. Upsampling instead
#
# Show that `UpSampling2D` followed by the same convolution of ones is even in the inside, for any size of the kernel.

# %% solution
for size in (3, 4, 5):
    layers = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.UpSampling2D(2),
            keras.layers.Conv2D(1, size, padding="same", kernel_initializer="ones"),
        ]
    )
    inner = np.asarray(layers(np.ones((1, 8, 8, 1), "float32")))[0, 3:-3, 3:-3, 0]
    assert inner.max() == inner.min()

# %% [markdown] why
# `UpSampling2D` repeats pixels and treats every place alike, and a convolution with stride 1 covers each place with the whole
# kernel. The sum over equal values is therefore the same everywhere inside; only at the border the padding adds zeros. No choice
# of the size of the kernel can bring the checkerboard back.

# %% [markdown]
# ### 3. A linear autoencoder is PCA
#
# Compare the error of PCA with five components on the digits with that of projecting on five random directions.

# %% solution
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

x = load_digits().data / 16
pca = PCA(5).fit(x)
best = np.mean((x - pca.inverse_transform(pca.transform(x))) ** 2)
basis, _ = np.linalg.qr(random.normal(size=(64, 5)))
centred = x - x.mean(0)
worse = np.mean((centred - centred @ basis @ basis.T) ** 2)
print(f"PCA {best:.4f}, random directions {worse:.4f}")
assert best < 0.7 * worse

# %% [markdown] why
# PCA chooses the directions of the largest variance, which are those that lose least squared error when the data is projected on
# them. Random directions carry on average $5 / 64$ of the variance, whereas the first five components of digits carry more than
# half. A linear autoencoder with this bottleneck cannot do better than PCA; a better result needs non-linear layers.
