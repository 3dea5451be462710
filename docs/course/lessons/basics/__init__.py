"""Lessons on networks of dense layers and their training."""
