"""How the facts of calls are understood: dialect, tokens, price.

Read in this order: `usage` (what is counted), `dialects` (how providers say it), `cards` and `rates` (what it costs), `calls` (a
completed call becomes a priced one), `inline` (the same over a log, in one process), `assembled` (a stream's final message).
"""
