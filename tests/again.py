"""What has failed in a run of all tests, once more and alone: `python -m tests.again`, behind `make test` in CI.

All tests together keep a small machine busier than any farm, and a few of them watch real servers and players by the
clock. Whoever passes alone has a defect all the same, so it is named at the end; three at most get the second try, and
the exit code is pytest's for them, or 1 where there is nothing to try again.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

MOST = 3
FAILED = Path(".pytest_cache/v/cache/lastfailed")


def failed(record: Path) -> list[str]:
    """The tests that failed in the last run, without the groups of pytest-xdist; none where it did not come so far."""
    names = json.loads(record.read_text("utf-8")) if record.is_file() else []
    return sorted(re.sub(r"@\w+$", "", name) for name in names)


def main() -> int:
    tests = failed(FAILED)
    if not 0 < len(tests) <= MOST:
        return 1
    code = subprocess.run([sys.executable, "-m", "pytest", "-v", *tests], check=False).returncode
    if code == 0:
        print("\n".join(f"UNSTEADY: {test} failed beside others and passed alone" for test in tests))
    return code


if __name__ == "__main__":
    sys.exit(main())
