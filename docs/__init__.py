"""Generated pages and tables: `python -m docs.pages`, `docs.tables`, `docs.recipes`, `docs.architecture`."""
