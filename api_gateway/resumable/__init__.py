"""Uploads over several requests by the tus protocol: its headers, its calls, and what they show."""
