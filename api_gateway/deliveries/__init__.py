"""Deliveries of reports over HTTP."""
