"""Tools for agents: search, ask, open a source at a span, list sources, over the Model Context Protocol."""
