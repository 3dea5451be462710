"""Bundles to and from other places: folders, web servers and the Hugging Face Hub."""
