"""Identity resolution: which source records are one customer, with ids that last. `resolve.resolve_night` runs a night."""
