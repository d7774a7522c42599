"""The REST API that tools for Helicone are written against, answered from the lake.

A body becomes a question in SQL with parameters, the question rows, the rows an answer in its envelope. Nothing that was sent is ever part
of a statement's text.
"""
