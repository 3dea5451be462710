"""Examples that are nearly the same: images whose difference hashes differ in few bits, texts that share most parts."""

import io
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageOps

SIDE = 8  # of the hash: 64 bits
MOST_BITS = 4  # that differ between images that are near duplicates, of 64
SHINGLE = 5  # characters of a sequence
LEAST = 0.9  # cosine similarity of texts that are near duplicates
BLOCK = 1024  # examples that are compared with all others at once


def hashes(images: Iterable[bytes]) -> np.ndarray:
    """Return the difference hash uint64 (N,) of images: which pixels of 9x8 are brighter than their right neighbour."""
    # It hardly changes with size, compression, brightness or colour. Reference: Zauner 2010, "Implementation and
    # Benchmarking of Perceptual Image Hash Functions".
    values = []
    for content in images:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("L", (8 * SIDE, 8 * SIDE))  # a large JPEG is decoded at a fraction of its size
            grey = ImageOps.exif_transpose(image).convert("L")
            small = np.asarray(grey.resize((SIDE + 1, SIDE), Image.Resampling.BOX)).astype(np.int16)
        values.append(np.packbits(small[:, :-1] > small[:, 1:]).view(np.uint64)[0])
    return np.array(values, np.uint64)


def nearest_hashes(queries: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the most similar of the other hashes for each query, int64 (N,), and the bits that differ, int64 (N,)."""
    indices, distances = [], []
    for start in range(0, len(queries), BLOCK):
        bits = np.bitwise_count(queries[start : start + BLOCK, None] ^ others[None])
        best = bits.argmin(axis=1)
        indices.append(best)
        distances.append(bits[np.arange(len(best)), best].astype(np.int64))
    return np.concatenate(indices), np.concatenate(distances)


def nearest_texts(queries: Sequence[str], others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the most similar other text for each query, int64 (N,), and the cosine similarity, float64 (N,)."""
    # Of the sets of all sequences of 5 characters: Broder 1997, doi:10.1109/SEQUEN.1997.666900 (resemblance by
    # shingles).
    from sklearn.feature_extraction.text import HashingVectorizer

    length = (SHINGLE, SHINGLE)
    vectorizer = HashingVectorizer(analyzer="char", ngram_range=length, binary=True, alternate_sign=False)
    rows, columns = vectorizer.transform(queries), vectorizer.transform(others).T.tocsc()
    indices, similarities = [], []
    for start in range(0, len(queries), BLOCK):
        products = (rows[start : start + BLOCK] @ columns).tocsr()
        indices.append(np.asarray(products.argmax(axis=1)).ravel())
        similarities.append(products.max(axis=1).toarray().ravel())
    return np.concatenate(indices), np.concatenate(similarities)
