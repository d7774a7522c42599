"""How the facts of calls are understood: dialect, tokens, price.

Read in this order: `usage` (what is counted), `dialects` (how providers say it), `estimates` (what is counted here), `pricing` (what it
costs), `calls` (a completed call becomes a priced one), `inline` (the same over a log, in one process), `assembled` (a stream as one
message).
"""
