"""Linux's Landlock: from here on only the named files and folders can be opened, no TCP, no signals to other processes.

What belongs here: the kernel's three calls. What does not: which files these are (sandbox.py), other bounds.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION = 1
_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(1, 6))
_MAKE_DIR, _MAKE_FILE = 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE | _REFER | _TRUNCATE
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
# What each version of the interface knows; all of it is denied where no rule allows it.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract Unix sockets, signals
_TCP_SINCE, _SCOPES_SINCE = 4, 6


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@cache
def version() -> int:
    """Return the version of the kernel's interface; 0 where there is none."""
    try:
        return _call(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def restrict(*, reads: Iterable[Path], writes: Iterable[Path]) -> None:
    """Restrict the calling thread, and all that it starts from now on. There is no way back.

    Nothing at all can be executed. What is open already stays open; a path that does not exist is left out.

    Args:
        reads: Files to read, and folders in which everything may be read.
        writes: The same, to be written and changed, too.

    Raises:
        OSError: If the kernel refuses; where `version` is 0 it does.
    """
    known = (1 << _FILE_RIGHTS[min(version(), max(_FILE_RIGHTS)) or 1]) - 1
    attributes = _RulesetAttributes(
        known, _TCP if version() >= _TCP_SINCE else 0, _SCOPES if version() >= _SCOPES_SINCE else 0
    )
    size = 8 * (1 + (version() >= _TCP_SINCE) + (version() >= _SCOPES_SINCE))
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    try:
        for paths, rights in ((reads, _READ), (writes, _WRITE)):
            for path in paths:
                _allow(ruleset, path, rights & known)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        rule = _PathBeneath(rights if path.is_dir() else rights & _OF_FILES, descriptor)
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    wide = [ctypes.c_long(part) if isinstance(part, int) else part for part in arguments]
    result: int = library.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
