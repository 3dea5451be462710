"""One file per piece of work: each holds `WORK`."""
