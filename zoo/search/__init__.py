"""Search for better settings of a training by Optuna: the space, the study and its trials, worker processes, report."""
