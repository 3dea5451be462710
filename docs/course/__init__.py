"""The pages of the course: what each lesson shows, by the models, recipes, feeds and commands of this project."""
