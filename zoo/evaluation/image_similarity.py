"""Similarity of two sets of images: mean squared error, PSNR and SSIM of pixels in [0, 255]."""

from collections.abc import Mapping

import numpy as np

from zoobase.importing import import_tensorflow

PEAK = 255.0
SSIM_WINDOW = 11  # side of the Gaussian window of Wang 2004; SSIM is not defined for smaller images


def similarities(truth: np.ndarray, images: np.ndarray, batch: int = 1000) -> dict[str, np.ndarray]:
    """Return `mse` of pixels in [0, 1], `psnr_db` and, if images are large enough, `ssim` of each, float64 (N,)."""
    # SSIM: Wang, Bovik, Sheikh, Simoncelli 2004, doi:10.1109/TIP.2003.819861.
    tf = import_tensorflow()

    squares, psnr, ssim = [], [], []
    for start in range(0, len(truth), batch):
        one, other = (tf.constant(x[start : start + batch], tf.float32) for x in (truth, images))
        squares.append(tf.reduce_mean(tf.square((one - other) / PEAK), axis=(1, 2, 3)).numpy())
        psnr.append(np.minimum(tf.image.psnr(one, other, PEAK).numpy(), 120.0))  # equal images: no infinity in JSON
        if min(truth.shape[1:3]) >= SSIM_WINDOW:
            ssim.append(tf.image.ssim(one, other, PEAK, filter_size=SSIM_WINDOW).numpy())
    columns = {"mse": squares, "psnr_db": psnr} | ({"ssim": ssim} if ssim else {})
    return {name: np.concatenate(values).astype(np.float64) for name, values in columns.items()}


def compare_images(truth: np.ndarray, images: np.ndarray, batch: int = 1000) -> dict[str, float]:
    """Return the means of `similarities`, whose arguments it takes."""
    return means(similarities(truth, images, batch))


def means(columns: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the mean of each column."""
    return {name: float(values.mean()) for name, values in columns.items()}
