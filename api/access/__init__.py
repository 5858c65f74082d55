"""Who may do what, and whose data they see: actors, roles, permission points, API keys, patient sessions."""
