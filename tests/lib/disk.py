# SPDX-License-Identifier: Apache-2.0
"""Disks that are full: small memory file systems in a mount namespace of this process (needs root, as in CI). Standard library only."""
import ctypes
import os
import tempfile

LIBC = ctypes.CDLL(None, use_errno=True)


def own_mounts():
    """Nothing that is mounted from here on is seen by others: CLONE_NEWNS; MS_REC | MS_PRIVATE."""
    if LIBC.unshare(0x20000) != 0 or LIBC.mount(b"none", b"/", None, 0x4000 | 0x40000, None) != 0:
        raise AssertionError("a mount namespace needs root: %s" % os.strerror(ctypes.get_errno()))


def small(case, size):
    """A folder on a memory file system of that size (KiB), until the end of the test case."""
    path = tempfile.mkdtemp(prefix="roster-test-")
    if LIBC.mount(b"tmpfs", path.encode(), b"tmpfs", 0, b"size=%dk,mode=700" % size) != 0:
        raise AssertionError("mount: %s" % os.strerror(ctypes.get_errno()))
    case.addCleanup(lambda: (LIBC.umount2(path.encode(), 2), os.rmdir(path)))
    return path


def stuff(path, leave=0):
    """Takes all but the last `leave` bytes; returns the file to remove."""
    name = path + "/ballast"
    fd = os.open(name, os.O_WRONLY | os.O_CREAT)
    try:
        while leave == 0 or os.statvfs(path).f_bavail * os.statvfs(path).f_frsize > leave:
            os.write(fd, b"x" * 4096)
    except OSError:
        pass
    finally:
        os.close(fd)
    return name
