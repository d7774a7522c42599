"""How the pieces are assembled and started.

`settings` alone reads the environment; `roles` are the processes; `supervisor` runs them; `cli` is what people type.
"""
