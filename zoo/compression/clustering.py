"""Which weights of a kernel share a value: the clusters of k-means.

Reference: Han, Mao, Dally 2016, arXiv:1510.00149 (shared weights); Panter, Dite 1951, doi:10.1109/JRPROC.1951.230419
(centroids as dense as the cube root of the density of the values, so that none lies in the gap that zeros leave).
"""

import numpy as np

ITERATIONS, BINS = 300, 512


def cluster(values: np.ndarray, clusters: int) -> np.ndarray:
    """Return the cluster of each value, int32 (n,) in the order of the centroids: k-means in one dimension."""
    order = np.argsort(values, kind="stable")
    ordered = values[order].astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = _start(ordered, clusters)
    for _ in range(ITERATIONS):
        ends = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        bounds = np.concatenate([[0], ends, [len(ordered)]])
        counts = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(counts, 1)
        moved = np.where(counts > 0, means, centroids)
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    labels = np.empty(len(values), np.int32)
    labels[order] = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, ordered, side="right")
    return labels


def _start(values: np.ndarray, clusters: int) -> np.ndarray:
    """Return the first centroids, ascending."""
    counts, edges = np.histogram(values, BINS)
    share = np.concatenate([[0.0], np.cumsum(np.cbrt(counts))])
    return np.interp((np.arange(clusters) + 0.5) / clusters * share[-1], share, edges)
