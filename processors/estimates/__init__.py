"""Tokens that no provider reported, counted from the bodies. `estimate` is the door."""
