"""Oxford-IIIT Pet: 7,349 photographs of cats and dogs, with masks of the animal.

Reference: Parkhi, Vedaldi, Zisserman, Jawahar 2012, "Cats and dogs".
Sources:   data_dir (a TFDS folder with oxford_iiit_pet, or folders as in mask_folder), the prepared cache, TFDS
           download.
Features:  {"image": JPEG bytes, "mask": grey PNG bytes: 0 background, 1 pet; 255, the border, is ignored}.
Splits:    "official" is the publisher's, whose last 15 % of train are for validation; percentages divide train.
Licence:   CC BY-SA 4.0.
"""

from collections.abc import Mapping

import tensorflow as tf

from pipelines.datasets import mask_folder
from pipelines.images import IGNORE, paired
from pipelines.images.tfds_images import TfdsImages

IDS = (IGNORE, 1, 0, IGNORE)  # of the publisher's 1 pet, 2 background, 3 border


def _select(example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    trimap = tf.io.decode_png(example["segmentation_mask"], 1)
    ids = tf.gather(tf.constant(IDS, tf.uint8), tf.cast(tf.minimum(trimap, 3), tf.int32))
    return {"image": example["image"], "mask": tf.io.encode_png(ids)}


load = TfdsImages(
    "oxford_iiit_pet",
    licence="CC-BY-SA-4.0",
    official={"train": "train[:85%]", "validation": "train[85%:]", "test": "test"},
    select=_select,
    features={"image": "JPEG bytes", "mask": mask_folder.FEATURES["mask"]},
    class_names=("background", "pet"),
    image_shape=paired.SHAPE,
    load_own=mask_folder.load,
    layout=mask_folder.LAYOUT,
).load
