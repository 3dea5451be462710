"""Pages and tables made by code: `python -m docs.pages`, `docs.tables`, `docs.recipes`, `docs.architecture`."""
