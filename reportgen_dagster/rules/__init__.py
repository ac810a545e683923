"""The rules language: loading, checking, translating and compiling rules. Knows no data, no Dagster, no HTTP."""
