# %% [markdown]
# # Architectures: AlexNet, VGG, ResNet
#
# ## The idea
#
# AlexNet (2012) showed that a convolutional network on a GPU, with ReLU, dropout and augmentation, beats hand-made features. VGG (2014)
# replaced large kernels by stacks of 3x3, and became deeper. Beyond about twenty layers plain stacks got worse even on
# the training data. ResNet (2015) adds a *shortcut* around every two layers: the layers only learn the difference from their input, and the
# gradient has a way on which nothing is multiplied.
#
# | | year | layers with weights | parameters | what was new |
# |---|---:|---:|---:|---|
# | LeNet-5 | 1998 | 5 | 60 thousand | convolutions and pooling, trained by backpropagation |
# | AlexNet | 2012 | 8 | 60 million | ReLU, dropout, augmentation, two GPUs; kernels of 11x11 and 5x5 |
# | VGG16 | 2014 | 16 | 138 million | only 3x3, channels double whenever the side halves |
# | ResNet-50 | 2015 | 50 | 25.6 million | shortcuts, batch normalisation, global average pooling |
# | EfficientNet-Lite0 | 2020 | 50 | 4.7 million | depthwise convolutions, width, depth and size scaled together |

# %% [markdown]
# ## Formulas
#
# ### A residual block
#
# $$y = x + F(x), \qquad \frac{\partial E}{\partial x} = \frac{\partial E}{\partial y} \left( 1 + \frac{\partial F}{\partial x} \right)$$
#
# Even where $\partial F / \partial x$ is small, the gradient arrives undiminished.
#
# Code: `docs.course.lessons.images.architectures.network`, `zoo.modeling.blocks.residual_network`
#
# ### Batch normalisation
#
# $\mu$ and $s^2$ are mean and variance of a channel over the batch, in predictions their moving averages; $\gamma$ and $\beta$ are learnt:
#
# $$y = \gamma\,\frac{x - \mu}{\sqrt{s^2 + \epsilon}} + \beta$$
#
# Code: `zoo.models.fashion_mnist.fashion_mnist`
#
# ### Depthwise separable convolution
#
# A kernel for each channel, then a 1x1 convolution: $F^2 C + C K$ weights instead of $F^2 C K$.
#
# Code: `zoo.modeling.efficientnet_lite.features`
#
# The gradient of the first layer of forty layers, plain and with shortcuts:

# %%
import itertools

import keras
import numpy as np
import tensorflow as tf

from docs.course.lessons.images import architectures

sizes = {shortcut: architectures.first_gradient(depth=40, shortcut=shortcut, seed=0) for shortcut in (False, True)}
print(f"plain {sizes[False]:.1e}, with shortcuts {sizes[True]:.1e}")
assert sizes[True] > 10 * sizes[False]

# %% [markdown]
# ## Exercises
#
# ### 1. Where VGG16's parameters are
#
# VGG16 has convolutions of 64, 64, 128, 128, 256 (3 times), 512 (6 times) kernels of 3x3 and dense layers of 4096, 4096 and 1000 units
# on 7x7x512. Count the parameters. Which layer has most?

# %% starter
parameters = 0  # your number: kernels, biases and dense layers

# check
assert parameters == 138_357_544, f"not yet: VGG16 has 138 million, your count is {parameters:,}; are all biases in it?"
print("right: 138,357,544")

# %% solution
channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
convolutions = [(9 * c + 1) * k for c, k in itertools.pairwise(channels)]
dense = [(a + 1) * b for a, b in ((7 * 7 * 512, 4096), (4096, 4096), (4096, 1000))]
parameters = sum(convolutions) + sum(dense)
print(f"convolutions {sum(convolutions):,}, dense {dense}, together {parameters:,}")
assert parameters == 138_357_544
assert dense[0] > 0.7 * 138_357_544

# %% [markdown] why
# A convolution has $9 c k$ weights wherever it is applied, while the first dense layer has one for each pair of its 25,088 inputs
# and 4,096 units: 102,764,544, three quarters of the network. The computation is distributed the other way round, since each
# kernel is used at every place of the image. ResNet replaces the dense layers by a global average and keeps one small one.

# %% [markdown]
# ### 2. A residual block in Keras
#
# Write a block of two 3x3 convolutions with a shortcut, also for a stride of 2, where the shortcut needs a 1x1 convolution.

# %% solution
from keras import layers


def block(x, filters, strides=1):
    """Return a residual block of x (B, H, W, C)."""
    y = layers.Conv2D(filters, 3, strides, "same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 3, 1, "same", use_bias=False)(y))
    if strides > 1 or x.shape[-1] != filters:
        x = layers.Conv2D(filters, 1, strides, use_bias=False)(x)
    return layers.ReLU()(layers.Add()([x, y]))


inputs = keras.Input((32, 32, 3))
model = keras.Model(inputs, block(block(inputs, 16), 32, strides=2))
assert model.output_shape == (None, 16, 16, 32)

# %% [markdown] why
# The block returns $\mathrm{ReLU}(F(x) + x)$, and a sum needs equal shapes. With a stride of 2 or another number of filters $x$
# has another shape than $F(x)$, so the shortcut gets a 1x1 convolution, which changes both at a small cost. No activation stands
# between the last normalisation and the sum: the block must be able to add negative numbers, too.

# %% [markdown]
# ### 3. A block that does nothing
#
# What does a residual block compute if its last kernel is zero? Why is that a good first value?

# %% solution
x = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype("float32")
convolution = layers.Conv2D(16, 3, padding="same", kernel_initializer="zeros")
y = x + np.asarray(convolution(tf.nn.relu(x)))
assert np.array_equal(x, y)
print("the identity: a deep network starts as a shallow one, and no layer can make it worse")

# %% [markdown] why
# With a zero kernel $F(x) = 0$, and the block returns $x$: it is the identity. A deep network therefore begins as a shallow one
# whose gradients arrive unchanged at every block, and each block departs from the identity only as far as that lowers the loss.
# In a plain stack a layer would first have to learn the identity.
