"""Servers that answer requests with a SavedModel on this machine, each started by one function. One file per server."""
