"""The available runtimes, and how fresh processes are started, limited and read."""
