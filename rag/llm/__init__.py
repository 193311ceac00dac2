"""The chat model over HTTP, and one small wrapper for each thing that can go wrong with it."""
