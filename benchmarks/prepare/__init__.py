"""What each benchmark needs before it is measured: arrays, files, trained models."""
