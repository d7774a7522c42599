"""What only whoever runs Heliograph can mend."""


class OperatorError(Exception):
    """Its message says in a line what is wrong and what to change: commands print that, and no stack trace."""
