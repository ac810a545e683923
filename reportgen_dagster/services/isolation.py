"""What of a run's isolation this machine does not offer, for whoever runs the service."""

from __future__ import annotations

from reportgen_dagster.engine.sandbox import missing_bounds


def warnings() -> list[str]:
    """Return a sentence for each bound that the kernel lacks; mostly none. All processes of one machine have the same kernel."""
    return [f"Runs are less isolated: this kernel has no {missing}." for missing in missing_bounds()]
