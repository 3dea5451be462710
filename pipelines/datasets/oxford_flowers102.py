"""Oxford Flowers 102: 8,189 photographs of 102 British flowers.

Reference: Nilsback, Zisserman 2008, "Automated flower classification over a large number of classes".
Sources:   data_dir (a TFDS folder, or your own images in folders), the prepared cache, TFDS download.
Features:  {"image": JPEG bytes, "label": int64, "file": string}.
Splits:    "official" has 1,020 for train, 1,020 for validation and 6,149 for test.
Licence:   not stated by the publisher; for research.
"""

from pipelines.images.tfds_images import TfdsImages

load = TfdsImages("oxford_flowers102", licence="not stated, for research").load
