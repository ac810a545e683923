"""Making, watching and downloading reports over HTTP."""
