"""What a model gets wrong: likely wrong labels, groups that are worse than others, and a page of examples."""
