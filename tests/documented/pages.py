"""What the documents tell a person to type: lines of code blocks, and commands within a sentence."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "docs/operations.md", "docs/runbook.md", "docs/security.md")),
    *sorted((ROOT / "deploy").glob("*/README*")),
)
PROGRAMS = (
    "raven", "raven-as", "raven-watcher", "raven-master", "raven-worker", "scrub.py", "make", "python", "python3",
    "pip", "mpv", "mariadb", "mariadb-dump", "mariadb-dumpslow", "rabbitmqctl", "rabbitmqadmin", "rabbitmq-diagnostics",
    "ceph", "radosgw-admin", "aws", "openssl", "systemctl", "journalctl", "systemd-analyze", "rsyslogd", "logrotate",
    "nginx", "haproxy", "promtool", "docker", "podman", "kubectl", "apt", "apt-get", "sudo", "su", "grep", "ss",
    "iostat", "cp", "install.sh", "secrets.sh", "users.sh",
)  # fmt: skip
"""By these a command within a sentence is known. In a code block every line is one."""
_INLINE = re.compile(r"(?<!`)`((?:[./\w-]*/)?(?:" + "|".join(map(re.escape, PROGRAMS)) + r") [^`\n]+)`(?!`)")
_REMARK = re.compile(r"\s{2,}(#|--) .*$")
_PICTURE = re.compile("[│▶▼]")


def blocks(text: str) -> list[list[str]]:
    """The lines of each code block: fenced ones, and those indented by four spaces or more. Pictures are none.

    Remarks behind a line are left out, and a line that goes on in the next one is one line.
    """
    marked, fenced = [], False
    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        marked.append((not fence and (fenced or bool(re.match(r" {4,}\S", line))), line))
    found = [[line for _, line in lines] for inside, lines in groupby(marked, lambda pair: pair[0]) if inside]
    return [_whole(block) for block in found if not any(map(_PICTURE.search, block))]


def _whole(block: list[str]) -> list[str]:
    text = "\n".join(_REMARK.sub("", line).strip() for line in block)
    return re.sub(r"\s*\\\n\s*", " ", text).splitlines()


def typed(block: list[str]) -> list[str]:
    """What of a block is typed: where it is a session, with prompts, not what is answered."""
    return [line.removeprefix("$ ") for line in block if line.startswith("$ ")] or block


def within_sentences(text: str) -> set[str]:
    """Commands in backticks, with what stands behind their names."""
    return {found.strip() for found in _INLINE.findall(text)}


def documented() -> dict[str, str]:
    """Each command, or other line of a code block, and the page that has it first."""
    found: dict[str, str] = {}
    for page in PAGES:
        text, name = page.read_text("utf-8"), str(page.relative_to(ROOT))
        lines = [line for block in blocks(text) for line in typed(block)]
        for command in [*lines, *sorted(within_sentences(text))]:
            found.setdefault(command, name)
    return found
