"""Lessons on data pipelines, files and services."""
