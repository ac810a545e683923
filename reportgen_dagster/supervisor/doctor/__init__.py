"""Examining an installation, whether it runs or not: what is wrong, and how to mend it. Nothing is changed here."""
