"""Irreversibly confines a process to computing.

This module, and others that sandboxed processes import, avoid typing, dataclasses, signal and the like:
importing them would take longer than the interpreter's start.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
import sys

# The allowed system calls, as (x86-64, aarch64) numbers; None if the architecture lacks one.
ALLOWED: dict[str, tuple[int, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "close_range": (436, 436), "lseek": (8, 62),
    "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "fadvise64": (221, 223),
    "stat": (4, None), "lstat": (6, None), "fstat": (5, 80), "newfstatat": (262, 79), "statx": (332, 291),
    "statfs": (137, 43), "fstatfs": (138, 44), "access": (21, None), "faccessat": (269, 48),
    "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61),
    "getcwd": (79, 17), "chdir": (80, 49), "umask": (95, 166),
    "pipe": (22, None), "pipe2": (293, 59), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "epoll_create": (213, None), "epoll_create1": (291, 20), "epoll_ctl": (233, 21),
    "epoll_wait": (232, None), "epoll_pwait": (281, 22), "eventfd2": (290, 19),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216),
    "madvise": (28, 233), "membarrier": (324, 283),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132), "pause": (34, None), "alarm": (37, None), "getitimer": (36, 102),
    "setitimer": (38, 103), "restart_syscall": (219, 128),
    "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    "getrusage": (98, 165), "getrlimit": (97, 163), "sysinfo": (99, 179), "uname": (63, 160),
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174),
    "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "getgroups": (115, 158),
    "getpgrp": (111, None), "getpgid": (121, 155), "getsid": (124, 156),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168), "futex": (202, 98),
    "set_tid_address": (218, 96), "set_robust_list": (273, 99), "rseq": (334, 293),
    "arch_prctl": (158, None), "getrandom": (318, 278), "exit": (60, 93), "exit_group": (231, 94),
    # on a socket pair, with which an asyncio event loop wakes itself
    "sendto": (44, 206), "recvfrom": (45, 207), "shutdown": (48, 210), "getsockname": (51, 204),
    "getpeername": (52, 205), "getsockopt": (55, 209),
}  # fmt: skip

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD = 0x10000
# Allowed for some arguments only: each check is (32-bit word of the arguments, mask, allowed values). Word 2i
# is the low half of argument i. fcntl and ioctl exclude the commands that set the receiver of signals.
CHECKED: dict[str, tuple[int, int | None, tuple[tuple[int, int, tuple[int, ...]], ...]]] = {
    "open": (2, None, ((2, _WRITING, (0,)),)),
    "openat": (257, 56, ((4, _WRITING, (0,)),)),
    "clone": (56, 220, ((0, _CLONE_THREAD, (_CLONE_THREAD,)),)),
    "prlimit64": (302, 261, ((0, 0xFFFFFFFF, (0,)), (4, 0xFFFFFFFF, (0,)), (5, 0xFFFFFFFF, (0,)))),
    "fcntl": (72, 25, ((2, 0xFFFFFFFF, (0, 1, 2, 3, 4, 1030)),)),
    "ioctl": (16, 29, ((2, 0xFFFFFFFF, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),)),
    "socketpair": (53, 199, ((0, 0xFFFFFFFF, (1,)), (2, 0xF, (1,)))),  # AF_UNIX, SOCK_STREAM
}
_CLONE3 = 435  # its flags are in memory, which a filter cannot read: the C library falls back to clone

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06  # classic BPF
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_PACKAGES = ("site-packages", "dist-packages")
_SIGKILL = 9
_PDEATHSIG, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38  # prctl
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # Landlock, on every architecture
_WRITE_FILE, _READ_FILE, _READ_DIR, _ALL_OF_ABI_1 = 1 << 1, 1 << 2, 1 << 3, (1 << 13) - 1
_CHANGES = _WRITE_FILE | (_ALL_OF_ABI_1 & ~((1 << 4) - 1))  # and creating or removing files of any kind
_TRUNCATE, _TRUNCATE_ABI = 1 << 14, 3


class JailError(Exception):
    """The kernel lacks a required feature, so no untrusted code may run."""


def enter(parent: int, cpu_seconds: int, memory_mib: int, confine_reads: bool, further: list[str]) -> None:
    """Confine the calling process, which must have one thread. Raises JailError if that fails.

    `further` are files and folders that stay readable besides the standard library, if they exist.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _prctl(libc, _PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before the prctl call
    _prctl(libc, _DUMPABLE, 0)  # other processes of the user cannot open its memory
    _lower(resource.RLIMIT_CPU, cpu_seconds)
    _lower(resource.RLIMIT_AS, memory_mib << 20)
    _lower(resource.RLIMIT_NOFILE, 64)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    _prctl(libc, _NO_NEW_PRIVS, 1)
    if confine_reads:
        _confine_reads(libc, further)
    program = seccomp_filter(os.uname().machine)
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    _prctl(libc, _SECCOMP, 2, ctypes.addressof(header))


def _prctl(libc: ctypes.CDLL, option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded) != 0:
        raise JailError(f"prctl({option}) failed: {os.strerror(ctypes.get_errno())}")


def _lower(kind: int, limit: int) -> None:
    """Set a resource limit, soft and hard, but never above the current one."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(kind, (limit, limit))


def confine_writes(folders: list[str], devices: list[str]) -> None:
    """Keep the calling process, which must have one thread, and its future children from changing files.

    Files may be created, changed and removed below `folders`, and `devices` may be written to. Open files
    stay open. Raises JailError if the kernel has no Landlock.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _prctl(libc, _NO_NEW_PRIVS, 1)
    truncate = _TRUNCATE if libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1) >= _TRUNCATE_ABI else 0
    rules = [(folder, _CHANGES | truncate) for folder in folders]
    rules += [(device, _WRITE_FILE | truncate) for device in devices]
    _landlock(libc, _CHANGES | truncate, rules)


def _confine_reads(libc: ctypes.CDLL, further: list[str]) -> None:
    """Make all files unreadable except below Python's standard library and the system's libraries.

    Installed packages are unreadable: some contain the solutions and tests of well-known problems.
    """
    library = os.path.dirname(os.__file__)
    roots = [library, f"{sys.base_exec_prefix}/lib", f"{sys.base_exec_prefix}/lib64", "/lib", "/lib64"]
    roots += ["/usr/lib", "/usr/lib64"]
    roots = [kept for root in dict.fromkeys(map(os.path.realpath, roots)) for kept in _without_packages(root)]
    roots += ["/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom", *further]
    rights = dict.fromkeys(roots, _READ_FILE | _READ_DIR)
    rights[library] = _READ_DIR  # file names, which Python reads to find modules
    try:
        _landlock(libc, _ALL_OF_ABI_1, list(rights.items()))
    except JailError as error:
        raise JailError(f"{error}, or confine_reads: false") from error


def _landlock(libc: ctypes.CDLL, handled: int, rules: list[tuple[str, int]]) -> None:
    """Give up the access rights `handled`, except those that a rule grants for a path and all below it."""
    attribute = ctypes.c_uint64(handled)
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(attribute), ctypes.c_size_t(8), 0)
    if ruleset < 0:
        raise JailError(
            f"the kernel offers no Landlock ({os.strerror(ctypes.get_errno())}); it takes Linux 5.13 with "
            "landlock among its security modules"
        )
    for root, access in rules:
        try:
            descriptor = os.open(root, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if not os.path.isdir(root):
            access &= ~_READ_DIR
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, descriptor))
        added = libc.syscall(_ADD_RULE, ruleset, 1, rule, 0)
        os.close(descriptor)
        if added != 0:
            raise JailError(f"Landlock refused {root}: {os.strerror(ctypes.get_errno())}")
    if libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
        raise JailError(f"Landlock could not be entered: {os.strerror(ctypes.get_errno())}")
    os.close(ruleset)


def _without_packages(folder: str) -> list[str]:
    """Paths that together cover `folder` without installed packages."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    if not any(name.startswith("python") or name in _PACKAGES for name in names):
        return [folder]
    kept: list[str] = []
    for name in names:
        path = f"{folder}/{name}"
        if name.startswith("python") and os.path.isdir(path):
            kept += _without_packages(path)
        elif name not in _PACKAGES:
            kept.append(path)
    return kept


def seccomp_filter(machine: str) -> bytes:
    """The BPF program: kill on another architecture, allow the listed calls, refuse all others (EPERM)."""
    if machine not in _AUDIT_ARCH:
        raise JailError(f"there is no system call table for {machine}, only for: {', '.join(_AUDIT_ARCH)}")
    column = list(_AUDIT_ARCH).index(machine)
    refuse = _operation(_RETURN, _REFUSE | errno.EPERM)
    program = [
        _operation(_LOAD, _ARCHITECTURE),
        _operation(_EQUAL, _AUDIT_ARCH[machine], 1, 0),
        _operation(_RETURN, _KILL),
        _operation(_LOAD, _NUMBER),
        _operation(_EQUAL, _CLONE3, 0, 1),
        _operation(_RETURN, _REFUSE | errno.ENOSYS),
    ]
    for numbers in ALLOWED.values():
        number = numbers[column]
        if number is not None:
            program += [_operation(_EQUAL, number, 0, 1), _operation(_RETURN, _ALLOW)]
    for *numbers_of_both, checks in CHECKED.values():
        number = numbers_of_both[column]
        if number is None:
            continue
        body: list[bytes] = []
        for word, mask, values in checks:
            body += [_operation(_LOAD, _ARGUMENTS + 4 * word), _operation(_AND, mask)]
            body += [_operation(_EQUAL, value, len(values) - place, 0) for place, value in enumerate(values)]
            body.append(refuse)
        body.append(_operation(_RETURN, _ALLOW))
        program += [_operation(_EQUAL, number, 0, len(body)), *body]
    return b"".join([*program, refuse])


def _operation(code: int, constant: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, constant)
