"""Sources of data: their order, the cache, packages, and the builders of TFDS."""
