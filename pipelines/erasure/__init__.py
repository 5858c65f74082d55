"""Erasing a person: what was ordered, how they are recognised by digests, rows without them. Pure but for orders."""
