"""Examples that are nearly the same: images and texts."""
