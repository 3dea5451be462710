"""Detections in a photograph, and the photograph with their boxes."""

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.images.masks import palette

SIDE = 256  # pixels of the longer side to which smaller images are enlarged


def in_image(points: np.ndarray, original: np.ndarray, start: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return points (..., 2 n) x, y, ... of the model's image, at start + scale * (x, y), in pixels of an image."""
    pairs = points.reshape(*points.shape[:-1], points.shape[-1] // 2, 2)
    inside = np.clip((pairs - start) / scale, 0, np.array(original.shape[1::-1]))
    return inside.reshape(points.shape)


def draw(image: np.ndarray, rows: np.ndarray, names: Sequence[str], points: np.ndarray | None = None) -> np.ndarray:
    """Return uint8 (H, W, 3): an image with boxes in the colour of their class, enlarged if it is small."""
    # rows (M, 5 or 6): box, class, perhaps a score, shown below 1; not of a negative class. points (M, P, 2): dots.
    scale = max(1, SIDE // max(image.shape[:2]))
    pixels = np.clip(np.broadcast_to(image, (*image.shape[:2], 3)), 0, 255).astype(np.uint8)
    canvas = np.ascontiguousarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))
    unit = max(1, round(max(canvas.shape[:2]) / (2 * SIDE)))  # of lines and letters, which a large image has thicker
    colours = palette()
    for row in rows[rows[:, 4] >= 0]:
        colour = tuple(map(int, colours[1 + int(row[4]) % 254]))
        left, top, right, bottom = (round(float(edge) * scale) for edge in row[:4])
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), colour, 2 * unit)
        text = names[int(row[4])] + (f" {row[5]:.0%}" if len(row) > 5 and 0 < row[5] < 1 else "")
        place = (left + 2 * unit, max(top - 4 * unit, 12 * unit))
        for thickness, tone in ((3, (0, 0, 0)), (1, colour)):  # an outline, for any background
            cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * unit, tone, thickness * unit, cv2.LINE_AA)
    for x, y in () if points is None else points.reshape(-1, 2):
        cv2.circle(canvas, (round(float(x) * scale), round(float(y) * scale)), unit, (0, 255, 0), cv2.FILLED)
    return canvas
