"""Datasets as folders of TFRecord files, the shards: written once, read from this machine or from a store."""
