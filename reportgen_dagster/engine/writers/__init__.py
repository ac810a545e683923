"""Writers of report files, one module a format."""
