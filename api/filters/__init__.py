"""Filters over the API: one evaluator a process, and routes that ask it how many, why, and in which words."""
