"""Runs a command under a seccomp filter that refuses io_uring, like container runtimes by default.

    no_uring.py EPERM|ENOSYS|EACCES[@setup|@enter|@register] COMMAND ...

The filter refuses all three calls unless one is named. Their numbers are the same
on x86-64 and aarch64.
"""

import ctypes
import errno
import os
import struct
import sys

CALLS = {"setup": 425, "enter": 426, "register": 427}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def instruction(code, value, when_true=0, when_false=0):
    return struct.pack("HBBI", code, when_true, when_false, value)


def refuse(error, numbers):
    """Loads the number of the system call and compares it; the last instruction refuses."""
    body = [instruction(LOAD_WORD, 0)]
    for index, number in enumerate(numbers):
        body.append(instruction(JUMP_EQUAL, number, when_true=len(numbers) - index))
    body += [instruction(RETURN, ALLOW), instruction(RETURN, REFUSE | error)]
    code = b"".join(body)
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(body), code)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def main():
    name, _, only = sys.argv[1].partition("@")
    refuse(getattr(errno, name), [CALLS[only]] if only else list(CALLS.values()))
    os.execvp(sys.argv[2], sys.argv[2:])


main()
