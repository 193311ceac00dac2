"""From a document's blocks to chunks: exact spans, exact token counts."""
