"""Where data comes from: the order of the search, the cache, packages, and the builders of TFDS."""
