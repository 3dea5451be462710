"""Pages whose numbers and pictures are made by code: `python -m docs.recipes`."""
