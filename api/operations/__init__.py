"""What operators and machines ask: health, readiness, metrics."""
