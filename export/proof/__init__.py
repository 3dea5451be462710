"""Prove a bundle, write the certificate, and locate errors."""
