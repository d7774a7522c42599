"""Aggregates of calls by hour and by day, kept beside the facts, and used only while they say exactly what the facts say.

`measures` names what is added up, `sketch` how durations are, `shaping` how rows are made of facts and of one another, `coverage` which
facts a rollup stands for and whether it may, `making` writes them, `asking` asks them.
"""
