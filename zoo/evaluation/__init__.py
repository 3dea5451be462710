"""Evaluation: outputs of models, metrics, baselines and figures."""
