"""Lessons on networks for images."""
