"""All rigs at their full size, one after the other: `make soak`. Exits with 1 if one found a violation."""

from __future__ import annotations

import subprocess
import sys
import time

RIGS = (
    ("contract", "10000"),
    ("framing", "10000"),
    ("refreshing", "1000"),
    ("uploads", "500"),
    ("large", "1GiB"),
    ("load", "--clients", "50", "--seconds", "120"),
    ("outage", "200", "120"),
    ("keys",),
    ("streams",),
    ("cold_starts", "50"),
    ("rest",),
)


def main() -> int:
    """Run every rig, whatever the others found; return 1 if one failed."""
    failed = []
    for name, *arguments in RIGS:
        told = " ".join((name, *arguments))
        print(f"== {told}", flush=True)
        began = time.monotonic()
        code = subprocess.run(
            [sys.executable, "-m", f"tests.soak.{name}", *arguments], check=False
        ).returncode
        print(
            f"== {told}: {'as it must be' if code == 0 else 'VIOLATED'}, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        failed += [told] if code else []
    print("violated:", ", ".join(failed) or "nothing")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
