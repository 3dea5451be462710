"""The metrics of detections by the code of COCO itself."""

import contextlib
import io
from typing import Any

import numpy as np


def by_pycocotools(detections: np.ndarray, truth: np.ndarray, classes: int) -> dict[str, float]:
    """Return `AP`, `AP50`, `AP75` and `AR` by the code of COCO itself."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def record(image: int, row: np.ndarray) -> dict[str, Any]:
        left, top, right, bottom, label = map(float, row[:5])
        box = [left, top, right - left, bottom - top]
        return {"image_id": image + 1, "category_id": int(label) + 1, "bbox": box, "area": box[2] * box[3]}

    annotations = [
        record(image, row) | {"iscrowd": int(row[5]), "ignore": int(row[5])}
        for image, rows in enumerate(truth)
        for row in rows
        if row[4] >= 0
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image + 1} for image in range(len(truth))],
            "categories": [{"id": label + 1} for label in range(classes)],
            "annotations": [{"id": i + 1, **annotation} for i, annotation in enumerate(annotations)],
        }
        coco.createIndex()
        found = [
            record(image, row) | {"score": float(row[5])}
            for image, rows in enumerate(detections)
            for row in rows
            if row[5] > 0
        ]
        if not found:
            return dict.fromkeys(("AP", "AP50", "AP75", "AR"), 0.0)
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(evaluation.stats[i]) for name, i in (("AP", 0), ("AP50", 1), ("AP75", 2), ("AR", 8))}
