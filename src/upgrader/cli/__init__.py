"""The command line: parses, resolves settings, calls one API method, renders the value.

Modules here import nothing heavy at their top: each verb imports what it needs when it runs.
"""
