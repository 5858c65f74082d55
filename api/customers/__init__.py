"""Customers as the API shows them: the published profiles, masked."""
