"""After deployment: requests are compared with the training inputs, a version with the one before, and taken back."""
