"""From a question to the chunks that may answer it: dense and lexical side by side, fused by their scores."""
