"""Lessons on networks for sequences and text."""
