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

# %% solution
p, q, grid = 0.3, 0.1, np.linspace(0.001, 0.999, 9981)
best = grid[np.argmax(p * np.log(grid) + q * np.log(1 - grid))]
print(f"best D {best:.3f}, formula {p / (p + q):.3f}; with p = q it is 1/2, and L_D = 2 ln 2 = {2 * np.log(2):.3f}")
assert abs(best - p / (p + q)) < 1e-3

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
