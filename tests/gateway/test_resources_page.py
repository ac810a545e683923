"""The commands of docs/resources.md work when typed one by one."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.gateway.conftest import Server

ROOT = Path(__file__).parents[2]


def test_the_curl_lines(server: Server, tmp_path: Path) -> None:
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    (commands,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "resources.md").read_text(), re.DOTALL)
    script = commands.replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"valid":true' in done.stdout
    assert '"fresh_within_seconds":86400' in done.stdout
    assert '"words":"At 06:00, Monday through Friday"' in done.stdout
    paused = done.stdout[done.stdout.rindex('{"ruleset"') :]
    assert json.loads(paused)["paused"] is True
