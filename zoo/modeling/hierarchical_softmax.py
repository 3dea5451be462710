"""Hierarchical softmax over a Huffman tree: the probability of a class is the product of the turns on its path.

Reference: Morin, Bengio 2005 (AISTATS); Joulin 2016, arXiv:1607.01759; fastText, loss.cc, for the order of the nodes.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

SMALLEST = 1e-5  # added to a probability before its logarithm, as in fastText


def paths(counts: Sequence[int]) -> np.ndarray:
    """Return which turns lead to each class, float32 (2 * (C - 1), C): to the right at each node, then to the left."""
    # `counts` says how often each of C classes occurs, the most frequent first.
    classes = len(counts)
    total = [*counts, *[10**15] * (classes - 1)]
    leads = [*np.eye(classes), *np.zeros((classes - 1, classes))]  # of each node, to which classes
    turns = np.zeros((2, classes - 1, classes), np.float32)
    leaf, node = classes - 1, classes
    for i in range(classes, 2 * classes - 1):
        children = []
        for _ in range(2):
            is_leaf = leaf >= 0 and total[leaf] < total[node]
            children.append(leaf if is_leaf else node)
            leaf, node = leaf - is_leaf, node + (not is_leaf)
        left, right = (leads[child] for child in children)
        total[i], leads[i] = sum(total[child] for child in children), left + right
        turns[:, i - classes] = right, left
    return turns.reshape(-1, classes)


@keras.saving.register_keras_serializable("zoo")
class HierarchicalSoftmax(layers.Layer):
    """Features (B, D) -> logarithms of the probabilities of the classes (B, C); the tree is a weight, too."""

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        """Take the number of classes, which the tree takes as equally frequent until its weight is set."""
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, shape: tuple) -> None:
        """Create the vectors of the nodes and the tree."""
        nodes = self.num_classes - 1
        self.kernel = self.add_weight((shape[-1], nodes), initializer="glorot_uniform", name="kernel")
        tree = paths([1] * self.num_classes)
        self.paths = self.add_weight(
            tree.shape, lambda *_, **__: ops.convert_to_tensor(tree), name="paths", trainable=False
        )

    def call(self, inputs: Any) -> Any:
        """Return the logarithms."""
        scores = ops.matmul(inputs, self.kernel)
        turns = ops.sigmoid(ops.concatenate([scores, -scores], axis=-1))
        return ops.matmul(ops.log(turns + SMALLEST), self.paths)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "num_classes": self.num_classes}
