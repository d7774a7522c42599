"""What is said, and how it travels.

Read in this order: `events` (the facts), `topics` (where each is said), `codec` (a batch of events as bytes), `port` (what any
log must do), `embedded` (the log of one machine; `embedded_*` are its parts). Nothing here knows who speaks or who listens.
"""
