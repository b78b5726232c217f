"""The partners' real files: bytes to records, strictly, with every leaf value accounted for.

Called by ../transform.py alone; nothing here writes RDF or opens a file.
"""
