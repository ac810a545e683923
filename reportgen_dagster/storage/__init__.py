"""The write-once object store for uploads, artifacts and rejects. The only place that builds a key."""
