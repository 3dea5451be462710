"""The ladder of a task: simple models, the cheapest first, which scikit-learn fits and which are Keras models."""
