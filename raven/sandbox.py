"""The walls around a child that works on untrusted bytes: no network, no core dump, no new rights, and limits.

The network is cut by a seccomp filter, which the kernel also lets an ordinary user set, and most containers too; a
network namespace takes root or user namespaces, which containers seldom allow. The parent's own pipes stay open.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass

from raven.environment import without_secrets
from raven.limits import Limits

CPU_GRACE = 30
"""Seconds of CPU time beyond the limit: the parent ends the child first and says why; the kernel does if it cannot."""
_NO_MEMORY = (os.strerror(errno.ENOMEM), "MemoryError", "Error allocating memory", "failed to allocate")
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
# loaded before any fork, as a child between fork and exec must not import; PyDLL does not touch the GIL
_LIBC = ctypes.PyDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Box:
    """The limits of one child; None for none."""

    cpu_seconds: int | None = None
    memory_bytes: int | None = None
    """Of address space: all that is mapped, touched or not."""
    file_bytes: int | None = None
    """Of each file that it writes."""

    def explain(self, status: int, words: str) -> str | None:
        """The limit that ended a child with this exit status and these last words, as a sentence; None for another."""
        if status == -signal.SIGXCPU:
            return self.too_much_cpu()
        if status == -signal.SIGXFSZ or os.strerror(errno.EFBIG) in words:
            return f"it wrote a file of more than {self.file_bytes} bytes, which no honest source needs"
        return None

    def hint(self, words: str) -> str:
        """What the last words may mean; a node short of memory says the same as a box."""
        if self.memory_bytes is None or not any(sign in words for sign in _NO_MEMORY):
            return ""
        return f", out of memory (it may map {self.memory_bytes >> 20} MiB)"

    def too_much_cpu(self) -> str:
        return f"it used more than the {self.cpu_seconds} s of CPU time that RAVEN_LIMIT_CPU_HOURS allows"


def cutter_box(limits: Limits, cpu_seconds: int) -> Box:
    """For the child that opens a source: it copies packets, or decodes them onto the grid.

    Address space: measured 155 MiB for 1080p, 290 MiB for 8K when it copies; a decoder with several threads may hold 32
    pictures of 6 bytes a pixel. A chunk is no larger than the source, or than 64 GiB where it was decoded.
    """
    return Box(cpu_seconds, (4 << 30) + 192 * limits.pixels, max(2 * limits.bytes, 64 << 30))


def encoder_box(source_pixels: int, output_pixels: int, threads: int, frames: int, cpu_seconds: int) -> Box:
    """For an ffmpeg that encodes `frames` into outputs of `output_pixels` in all with `threads` in all.

    Address space: measured 2.2 GiB for 1080p and 2.6 GiB for 4K in five rungs on 2 cores; allowed is about five times
    that: a stack and a heap of its own for each thread, 64 pictures of 8 bytes a pixel in the decoder and filters, and
    what encoders keep for looking ahead. A file larger than the raw pictures is no encode.
    """
    own = 16 + 4 * (os.cpu_count() or 1) + 3 * threads
    memory = (2 << 30) + own * (72 << 20) + 512 * source_pixels + 1000 * output_pixels
    return Box(cpu_seconds, memory, (64 << 20) + 6 * output_pixels * frames)


def enter(box: Box) -> None:
    """Between fork and exec: raises the walls. Calls preloaded C functions only: other threads may hold locks."""
    _limit(resource.RLIMIT_CORE, 0)  # a core dump holds the source, and fills the disk
    _limit(resource.RLIMIT_CPU, None if box.cpu_seconds is None else box.cpu_seconds + CPU_GRACE)
    _limit(resource.RLIMIT_AS, box.memory_bytes)
    _limit(resource.RLIMIT_FSIZE, box.file_bytes)
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if _PROGRAM is not None:
            _LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(_PROGRAM), 0, 0)
        # the child dies with the thread that started it, also when the daemon is killed
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit(what: int, value: int | None) -> None:
    if value is not None:
        hard = resource.getrlimit(what)[1]  # a limit of the daemon's own stays
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (most, most))


# the seccomp filter: which system calls fail with EPERM

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF: ld [k]; jeq k; jge k; ret k
_KILL, _FAIL, _ALLOW = 0x80000000, 0x00050000 | 1, 0x7FFF0000
_X32 = 0x40000000
"""Numbers from here on are the same calls under another name (x86-64 only; elsewhere there are none so high)."""
_MACHINES = {
    # AUDIT_ARCH, then socket, ptrace, process_vm_readv, process_vm_writev, io_uring_setup (which can make sockets too)
    "x86_64": (0xC000003E, (41, 101, 310, 311, 425)),
    "aarch64": (0xC00000B7, (198, 117, 270, 271, 425)),
}


class _SockFprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _filter(architecture: int, denied: tuple[int, ...]) -> bytes:
    """The program: another architecture's calls kill; the denied ones and those from x32 on fail; all others pass."""
    tests = [(_AT_LEAST, _X32), *((_EQUAL, number) for number in denied)]
    lines = [
        (_LOAD, 0, 0, 4),  # seccomp_data.arch
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # seccomp_data.nr
        *((code, len(tests) - place, 0, value) for place, (code, value) in enumerate(tests)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def _program() -> _SockFprog | None:
    known = _MACHINES.get(platform.machine()) if sys.platform == "linux" else None
    if known is None:
        return None
    code = _filter(*known)
    return _SockFprog(len(code) // 8, code)


_PROGRAM = _program()


def network_is_cut() -> bool:
    """Whether a child in a box really cannot make a socket: tried, as kernels and containers differ."""
    attempt = "import _socket; _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)"
    tried = subprocess.run(
        [sys.executable, "-I", "-S", "-c", attempt],
        preexec_fn=lambda: enter(Box()),
        env=without_secrets(os.environ),
        capture_output=True,
        check=False,
    )
    return b"PermissionError" in tried.stderr
