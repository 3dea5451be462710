"""Packages that the server imports in place of large ones of the same name; a folder of its path."""
