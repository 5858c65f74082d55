"""Identity resolution: which source records are one customer, under ids that last; `resolve.py` runs a night."""
