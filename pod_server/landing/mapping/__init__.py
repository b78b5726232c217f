"""Records to documents: Turtle with relative IRIs, without blank nodes.

Called by ../transform.py alone; nothing here reads a partner's bytes.
"""
