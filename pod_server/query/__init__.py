"""Answers SPARQL over what a caller may read: the guard, the views, and the worker processes that hold them.

Import from the files themselves: a worker process loads worker.py alone.
"""
