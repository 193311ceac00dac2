"""The OpenAI-compatible face: the shapes of its requests, replies and errors. ``api/routes/openai.py`` serves it."""
