"""Loaders: one format a file, each from bytes to one canonical text with a block map."""
