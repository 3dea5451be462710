"""Prove a bundle, write the certificate, and find what is wrong."""
