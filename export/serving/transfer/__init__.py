"""Bundles to and from other places: folders, web servers, registries and the Hugging Face Hub."""
