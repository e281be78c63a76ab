"""Sentences for masked language models."""
