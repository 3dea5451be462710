"""Empty modules in place of packages that a runtime imports and does not need."""
