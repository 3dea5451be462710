"""What an application feeds a model: preprocessing from a file to a tensor, and which preprocessing a tensor had."""
