"""What everything in the zoo stands on: errors, environment, registry, specs, recipes, plans, tasks, run folders."""
