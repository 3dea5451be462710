# %% [markdown]
# # Convolutions and pooling
#
# ## The idea
#
# A convolution moves a small kernel over an image and writes down, at each place, the sum of its products with the pixels below
# it. The same few weights are used everywhere, so the layer is small, and finds its pattern wherever it is. Pooling keeps one number of each
# square of pixels. Layer by layer the maps become smaller and more numerous, and each place depends on a larger part of the image.

# %% [markdown]
# ## Formulas
#
# $W$ is the side of the input, $F$ that of the kernel, $P$ the padding at each edge, $S$ the stride, $C$ the channels of the input, $K$ the
# number of kernels.
#
# ### Convolution
#
# $$y_{i,j,k} = b_k + \sum_{u=0}^{F-1} \sum_{v=0}^{F-1} \sum_{c=1}^{C} w_{u,v,c,k}\;x_{iS+u,\,jS+v,\,c}$$
#
# Code: `docs.course.lessons.images.convolutions.by_loops`, `docs.course.lessons.images.convolutions.convolved`
#
# ### Side of the output
#
# $$\left\lfloor \frac{W - F + 2P}{S} \right\rfloor + 1$$
#
# Derivation: with padding a row has $W + 2P$ pixels. The first place of a kernel begins at 0 and the last at $W + 2P - F$; of these
# places every $S$-th is taken, and the one at 0 counts.
#
# `valid` is $P = 0$. `same` chooses the padding so that the side becomes $\lceil W / S \rceil$. Pooling follows the same formula.
#
# Code: `docs.course.lessons.images.convolutions.output_side`
#
# ### Parameters
#
# $$(F^2 C + 1)\,K$$
#
# Code: `docs.course.lessons.images.convolutions.parameters`
#
# ### Receptive field
#
# The side $r_l$ of the part of the image on which one place of layer $l$ depends:
#
# $$r_l = r_{l-1} + (F_l - 1) \prod_{i=1}^{l-1} S_i, \qquad r_0 = 1$$
#
# Code: `docs.course.layer_table.layer_table`
#
# Derivation: neighbouring places of layer $l - 1$ lie $\prod_{i<l} S_i$ pixels apart in the image. A kernel of $F_l$ spans $F_l -
# 1$ such distances, and the places at its two ends see $r_{l-1}$ pixels each.
#
# The formula of the side, and Keras:

# %%
import keras
import numpy as np

for side, kernel, stride, padding in ((28, 3, 1, "valid"), (28, 3, 2, "same"), (28, 5, 2, "valid")):
    layer = keras.layers.Conv2D(16, kernel, stride, padding)
    shape = layer(np.zeros((1, side, side, 3), "float32")).shape
    formula = (side - kernel) // stride + 1 if padding == "valid" else -(-side // stride)
    print(f"{side} by {kernel}, stride {stride}, {padding}: {shape[1]}, parameters {layer.count_params():,}")
    assert shape[1] == formula
    assert layer.count_params() == (kernel**2 * 3 + 1) * 16

# %% [markdown]
# ## Exercises
#
# ### 1. An edge filter by hand
#
# Which 3x3 kernel answers to vertical edges, and with 0 to an even area? Apply it to an image that is black at the left and white at the right.

# %% starter
from docs.course.lessons.images import convolutions

image = np.zeros((8, 8), "float32")
image[:, 4:] = 1
kernel = np.zeros((3, 3), "float32")  # your kernel

# check
answer = convolutions.convolved(image, kernel, "valid")
assert abs(kernel.sum()) < 1e-6, f"not yet: the kernel sums to {kernel.sum()}, so an even area does not give 0"
assert answer[:, 2:4].all(), "not yet: the edge, between columns 3 and 4, gives 0"
flat = convolutions.convolved(image.T.copy(), kernel, "valid")
assert not flat.any(), "not yet: the kernel also answers to horizontal edges"
print("right: only the vertical edge is not 0")

# %% solution
from docs.course.lessons.images import convolutions

image = np.zeros((8, 8), "float32")
image[:, 4:] = 1
kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "float32")
answer = convolutions.convolved(image, kernel, "valid")
print(answer[0])
assert kernel.sum() == 0
assert answer[:, [0, 1, 4, 5]].any() == False  # noqa: E712 - an array
assert (answer[:, 2:4] == 4).all()

# %% [markdown] why
# The columns of the kernel are -1, 0 and 1 times the weights 1, 2, 1: it is the difference between right and left, averaged over
# three rows. On an even area both sides are equal and the sum is 0. Next to the edge the right side is 1 in each row, and the
# answer is $1 + 2 + 1 = 4$. A horizontal edge gives 0, because left and right are equal in every row.

# %% [markdown]
# ### 2. The first layer of AlexNet
#
# It has 96 kernels of 11x11 with stride 4 on images of 227x227x3 without padding. How large is its output, and how many
# parameters does it have?

# %% starter
side, parameters = 0, 0  # your numbers

# check
layer = keras.layers.Conv2D(96, 11, 4)
shape = layer(np.zeros((1, 227, 227, 3), "float32")).shape
assert side == shape[1], f"not yet: a side of {side} is not that of the layer; count the places of the kernel in a row"
assert parameters == layer.count_params(), f"not yet: {parameters} parameters; is the bias of each kernel counted?"
print("right: both are those of the layer")

# %% solution
side = (227 - 11 + 2 * 0) // 4 + 1
parameters = (11 * 11 * 3 + 1) * 96
layer = keras.layers.Conv2D(96, 11, 4)
assert layer(np.zeros((1, 227, 227, 3), "float32")).shape == (1, side, side, 96) == (1, 55, 55, 96)
assert layer.count_params() == parameters == 34_944

# %% [markdown] why
# A kernel of 11 has $227 - 11 + 1 = 217$ places in a row, and a stride of 4 takes every fourth: 55. Each kernel has $11 \cdot 11
# \cdot 3$ weights and one bias, and there are 96 of them. The number of parameters does not depend on the size of the image,
# which is why convolutions need so few.

# %% [markdown]
# ### 3. Two small kernels for a large one
#
# Two layers of 3x3 have the receptive field of one of 5x5. How many parameters do they save with 64 channels, and what else do they add?

# %% solution
two, one = 2 * (3 * 3 * 64 + 1) * 64, (5 * 5 * 64 + 1) * 64
print(f"{two:,} instead of {one:,}, and a second activation between them")
field = 1 + (3 - 1) + (3 - 1)
assert field == 5
assert two < 0.75 * one

# %% [markdown] why
# An output of the second layer sees 3x3 outputs of the first, each of which sees 3x3 pixels; together they cover $1 + 2 + 2 = 5$
# pixels a side. The parameters of a layer grow with the area of its kernel: two times 9 is less than 25. The second activation
# also makes the function of these 25 pixels richer than one linear filter.
