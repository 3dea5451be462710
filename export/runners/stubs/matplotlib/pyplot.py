"""Stands in for a package by which MediaPipe draws or records, and which its environment leaves out."""
