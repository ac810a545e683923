"""What Schemathesis cannot know by itself: how bytes of an upload are sent, and that a file of a form may be any bytes."""

from __future__ import annotations

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Leave out forms that are called wrong only because a text was taken for no `binary`; it may be a good CSV."""
    described = case.meta.phase.data.description if case.meta else None
    is_form = case.media_type == "multipart/form-data"
    return not (is_form and described is not None and "`format`" in described)
