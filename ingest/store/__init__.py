"""The store: a SQLite catalog that is the truth, and Chroma, which is an index of it."""
