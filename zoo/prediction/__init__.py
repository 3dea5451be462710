"""Prediction on many inputs: where they are, their predictions in batches, tables of the results, several workers."""
