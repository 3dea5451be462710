"""A bundle on disk: its layout, its card, serving files; how it is published, loaded and compared with another."""
