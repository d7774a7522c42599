"""Tells Heliograph of LLM calls after the fact, from a thread in the background. It never raises into the application."""

from heliograph_client.calls import Call
from heliograph_client.logger import AsyncLogger

__all__ = ["AsyncLogger", "Call"]
