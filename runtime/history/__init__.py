"""A believable past, made up: `heliograph demo history`. The same seed makes the same rows."""
