"""Hyperparameter search by Optuna: the space, the study and its trials, the report."""
