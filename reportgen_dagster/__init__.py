"""reportgen: readable, checked rules turn CSV files into reports.

This module imports nothing, so that a process pays only for the parts that it uses.
"""
