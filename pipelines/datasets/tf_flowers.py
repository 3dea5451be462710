"""TensorFlow Flowers: 3,670 photographs of daisies, dandelions, roses, sunflowers and tulips.

Sources:   data_dir (a TFDS folder, or your own images in folders), the prepared cache, TFDS download.
Features:  {"image": JPEG bytes, "label": int64}.
Splits:    there is only a training set: "official" is its first 70 %, the next 15 % and the last 15 %.
Licence:   CC-BY 2.0, by the photographers.
"""

from pipelines.images.tfds_images import TfdsImages

load = TfdsImages(
    "tf_flowers",
    licence="CC-BY-2.0",
    official={"train": "train[:70%]", "validation": "train[70%:85%]", "test": "train[85%:]"},
).load
