"""One file per kind of problem; `zoo.specs.Task` is the protocol that each of them fills."""
