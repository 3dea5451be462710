"""Smaller models: quantization-aware training, magnitude pruning, knowledge distillation."""
