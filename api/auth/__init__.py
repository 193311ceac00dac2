"""Who may do what: API keys, their scopes, their tenants and groups."""
