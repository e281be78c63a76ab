"""Algorithmic tasks: rows of tokens that ask for what an algorithm would answer."""
