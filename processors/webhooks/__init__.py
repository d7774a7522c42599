"""Webhooks: calls, as they are understood, told to whoever asked for that."""
