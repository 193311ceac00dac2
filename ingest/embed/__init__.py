"""Embedders: one backend a file, and the tokenizer that chunking counts with."""
