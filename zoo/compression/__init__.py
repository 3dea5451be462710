"""Smaller models: quantization-aware training."""
