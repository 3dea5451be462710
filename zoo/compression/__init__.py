"""Smaller models: training with quantization."""
