"""What filters may speak of, as the API tells it: the catalogue, and the values that fields hold."""
