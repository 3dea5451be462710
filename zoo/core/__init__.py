"""The base of the package: errors, environment, registry, specs, recipes, plans, tasks, run folders."""
