"""Pages for people: a finished report as HTML and PDF, with run facts, key figures, charts, checks and its first rows."""
