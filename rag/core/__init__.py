"""The contracts: types, protocols, errors, settings and text primitives that every other package shares."""
