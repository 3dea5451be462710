# %% [markdown]
# # Generative adversarial networks
#
# ## The idea
#
# A generator makes images of noise, a discriminator tells them from real ones, and each is trained against the other. No image is ever the
# "right" answer: the discriminator is a loss function that is learnt. That makes sharp images, and three troubles: the losses say little about
# the quality, the training can run away, and the generator may make only a few kinds of images (*mode collapse*).

# %% [markdown]
# ## Formulas
#
# $G$ is the generator, $D$ the discriminator, $z$ noise, $x$ a real image. In the minimax loss $D$ is a probability of *real*, between 0 and
# 1; with least squares it is any real number, without a sigmoid.
#
# ### Minimax
#
# $$\min_G \max_D \;\mathbb{E}_{x}\left[ \ln D(x) \right] + \mathbb{E}_{z}\left[ \ln (1 - D(G(z))) \right]$$
#
# In practice the generator maximises $\ln D(G(z))$ instead, whose gradient does not vanish while the discriminator is sure:
#
# $$L_D = -\mathbb{E}_x[\ln D(x)] - \mathbb{E}_z[\ln(1 - D(G(z)))], \qquad L_G = -\mathbb{E}_z[\ln D(G(z))]$$
#
# Code: `zoo.modeling.gan.cross_entropy`, `zoo.modeling.gan.NoiseToImage`
#
# ### Least squares
#
# $$L_D = \tfrac{1}{2}\mathbb{E}_x[(D(x) - 1)^2] + \tfrac{1}{2}\mathbb{E}_z[D(G(z))^2], \qquad L_G = \mathbb{E}_z[(D(G(z)) - 1)^2]$$
#
# Code: `zoo.modeling.gan.least_squares`
#
# ### pix2pix: pairs
#
# Input $a$, target $b$, weight $\lambda = 100$:
#
# $$L = L_{\mathrm{GAN}}(G, D) + \lambda\,\mathbb{E}_{a,b}\left[ \lVert b - G(a) \rVert_1 \right]$$
#
# The discriminator is a *PatchGAN*: a convolutional network whose output is a map, one value for each patch of the image that it sees, and
# $L_{\mathrm{GAN}}$ is the mean over the patches. It evaluates textures; the second term compares the whole image.
#
# Code: `zoo.models.pix2pix.Pix2Pix.compute_losses`, `zoo.modeling.blocks.patch_discriminator`
#
# ### CycleGAN: two sets without pairs
#
# $G: A \to B$ and $F: B \to A$. What goes there and back shall be what it was:
#
# $$L_{\mathrm{cycle}} = \mathbb{E}_a\left[ \lVert F(G(a)) - a \rVert_1 \right] + \mathbb{E}_b\left[ \lVert G(F(b)) - b \rVert_1 \right]$$
#
# An image that is in the target set already shall not change; this *identity loss* keeps the colours:
#
# $$L_{\mathrm{identity}} = \mathbb{E}_b\left[ \lVert G(b) - b \rVert_1 \right] + \mathbb{E}_a\left[ \lVert F(a) - a \rVert_1 \right]$$
#
# Code: `zoo.models.cyclegan.CycleGAN.compute_losses`
#
# ### Frechet distance
#
# Means $m$, $m'$ and covariances $C$, $C'$ of the features of real and generated images:
#
# $$d^2 = \lVert m - m' \rVert^2 + \mathrm{tr}\left( C + C' - 2 (C C')^{1/2} \right)$$
#
# Code: `zoo.evaluation.generative_metrics.frechet_distance`
#
# The losses by hand and by our functions:

# %%
import numpy as np
import tensorflow as tf

from zoo.evaluation.generative_metrics import feature_distance
from zoo.modeling.gan import cross_entropy, least_squares

logits = np.array([2.0, -1.0, 0.5], "float32")
probability = 1 / (1 + np.exp(-logits))
assert np.isclose(cross_entropy(logits, real=True), -np.log(probability).mean(), atol=1e-6)
assert np.isclose(cross_entropy(logits, real=False), -np.log(1 - probability).mean(), atol=1e-6)
assert np.isclose(least_squares(logits, real=True), np.mean((logits - 1) ** 2))
print(f"{float(cross_entropy(logits, real=True)):.4f} {float(least_squares(logits, real=True)):.4f}")

# %% [markdown]
# ## Exercises
#
# ### 1. The best discriminator
#
# For fixed densities $p$ (real) and $q$ (generated) the best discriminator is $D(x) = p(x) / (p(x) + q(x))$. Check that on a grid of $D$, and
# compute its loss where $p = q$.

# %% starter
p, q = 0.3, 0.1
answer = 0.5  # your best D for these two densities

# check
grid = np.linspace(0.001, 0.999, 9981)
reached = p * np.log(grid) + q * np.log(1 - grid)
mine = p * np.log(answer) + q * np.log(1 - answer)
assert mine > reached.max() - 1e-6, f"not yet: D = {answer} gives {mine:.4f}, another D gives {reached.max():.4f}"
print("right: no D gives more")

# %% solution
p, q, grid = 0.3, 0.1, np.linspace(0.001, 0.999, 9981)
answer = p / (p + q)
best = grid[np.argmax(p * np.log(grid) + q * np.log(1 - grid))]
print(f"best D {best:.3f}, formula {answer:.3f}; with p = q it is 1/2, and L_D = 2 ln 2 = {2 * np.log(2):.3f}")
assert abs(best - answer) < 1e-3

# %% [markdown] why
# At a point $x$ the discriminator maximises $p \ln D + q \ln(1 - D)$. The derivative $p / D - q / (1 - D)$ is 0 at $D = p / (p +
# q)$, and the second derivative is negative, so it is the maximum. Where the generator is perfect, $p = q$, the best answer is
# 1/2 everywhere, and the loss of the discriminator is $2 \ln 2$: a value to compare training curves with.

# %% [markdown]
# ### 2. Why the generator does not minimise ln(1 - D)
#
# Compute the gradients of $\ln(1 - D)$ and $-\ln D$ with respect to the logit where the discriminator is sure of a fake (logit -8).

# %% solution
logit = tf.Variable(-8.0)
with tf.GradientTape(persistent=True) as tape:
    saturating = tf.math.log(1 - tf.sigmoid(logit))
    used = -tf.math.log(tf.sigmoid(logit))
gradients = float(tape.gradient(saturating, logit)), float(tape.gradient(used, logit))
print(gradients)
assert abs(gradients[0]) < 1e-3
assert abs(gradients[1]) > 0.99

# %% [markdown] why
# The derivative of $\ln(1 - \sigma(z))$ is $-\sigma(z)$, about 0.0003 at $z = -8$: exactly where the fakes are bad the generator
# learns nothing. That of $-\ln \sigma(z)$ is $\sigma(z) - 1$, almost -1. Both fall where $D$ rises, so they lead the generator
# the same way, but only the second has a gradient at the beginning of the training.

# %% [markdown]
# ### 3. Mode collapse in numbers
#
# Real features come from four clusters. Compare the Frechet distance of new samples of all four and of samples of one cluster only.

# %% solution
random = np.random.default_rng(0)
centres = 4 * random.normal(size=(4, 8))


def sample(clusters, count=2000):
    """Return features of the given clusters."""
    return centres[random.choice(clusters, count)] + random.normal(size=(count, 8))


distances = {
    name: feature_distance(sample([0, 1, 2, 3]), sample(c)) for name, c in (("all", [0, 1, 2, 3]), ("one", [0]))
}
print(distances)
assert distances["one"] > 20 * distances["all"]

# %% [markdown] why
# The Frechet distance compares mean and covariance of the features. Samples of one cluster have another mean than those of all
# four, and they lack the variance between the clusters, so that both terms are large. Two samples of all four differ by the noise
# of 2,000 draws only. A metric of single images would not notice: each of the collapsed samples is realistic.
