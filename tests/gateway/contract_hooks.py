"""What Schemathesis cannot know by itself: how bytes of an upload are sent."""

from __future__ import annotations

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
