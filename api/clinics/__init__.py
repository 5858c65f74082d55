"""The chain's clinics, and which of them the platform serves."""
