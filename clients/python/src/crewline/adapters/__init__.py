"""How agent frameworks tell a run what they do. Each imports its framework only when it is used."""
