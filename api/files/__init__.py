"""Files that are fetched by a link which is its own proof, and goes out of date."""
