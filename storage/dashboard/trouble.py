"""What is wrong with a link that was followed: told on the page, which is shown all the same."""

from msgspec import Struct


class Trouble(Struct, frozen=True):
    """One parameter that cannot be meant."""

    field: str
    message: str
    fix: str
