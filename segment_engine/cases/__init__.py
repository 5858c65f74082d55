"""Filter cases as data, and a reference interpreter to hold engines against: small worlds and who is meant in them."""
