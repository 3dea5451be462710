"""Readers of files with weights of others: none can run code, and each bounds what it allocates."""
