"""Bundles on disk: layout, card, serving files, publishing, loading and comparison."""
