"""Datasets from what other libraries hold: arrays and tables in memory, TensorFlow Datasets, Hugging Face."""
