# SPDX-License-Identifier: Apache-2.0
"""Take part in one's own checkpoints: hooks around them, and asking for them. See thump(3).

    import thump

    thump.register(before=pool.close, after=lambda outcome: pool.open())
    outcome = thump.checkpoint("service.thump", leave_running=True)

Hooks run on a thread of libthump's, while other threads run. To import the module is enough to have
the generator behind random.random() seeded anew in every restored process, as Python itself does in a
child of fork(2); objects of random.Random are the program's own to seed.
"""
import ctypes
import enum
import os
import random

__all__ = ["Outcome", "Priority", "Refused", "Registration", "checkpoint", "generation", "register",
           "restore_time", "wait_generation"]

_LIBRARY = "libthump.so.0"
_WHY_BYTES = 4096


class Outcome(enum.IntEnum):
    """What has become of a checkpoint."""
    NOT_SAVED = 0  # refused, failed, or a dry run
    SAVED = 1      # the image is there, and this is the process that it was made of
    RESTORED = 2   # this process was made from the image


class Priority(enum.IntEnum):
    """Before a checkpoint high ones come first, afterwards last."""
    LOW = -1
    MEDIUM = 0
    HIGH = 1


class Refused(Exception):
    """There is no image, and the program goes on; `reasons` is a list of texts."""

    def __init__(self, reasons):
        super().__init__("\n".join(reasons) or "the checkpoint failed")
        self.reasons = reasons


_Before = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_After = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)


class _Hook(ctypes.Structure):
    _fields_ = [("size_bytes", ctypes.c_size_t), ("name", ctypes.c_char_p),
                ("ctx", ctypes.c_void_p), ("before", _Before), ("after", _After),
                ("priority", ctypes.c_int), ("mode", ctypes.c_int), ("limit_ms", ctypes.c_uint32)]


class _Request(ctypes.Structure):
    _fields_ = [("size_bytes", ctypes.c_size_t), ("image", ctypes.c_char_p),
                ("leave_running", ctypes.c_int), ("dry_run", ctypes.c_int),
                ("thump", ctypes.c_char_p), ("why", ctypes.c_char_p),
                ("why_size_bytes", ctypes.c_size_t)]


def _load():
    """The library that is loaded already, that of the system, or the one beside this module."""
    here = os.path.dirname(os.path.abspath(__file__))
    for path in (_LIBRARY, os.path.join(here, _LIBRARY),
                 os.path.join(here, "..", "..", _LIBRARY)):
        try:
            library = ctypes.CDLL(path, use_errno=True)
        except OSError:
            continue
        library.thump_register.restype = ctypes.c_void_p
        library.thump_register.argtypes = [ctypes.POINTER(_Hook)]
        library.thump_unregister.restype = None
        library.thump_unregister.argtypes = [ctypes.c_void_p]
        library.thump_checkpoint.argtypes = [ctypes.POINTER(_Request)]
        library.thump_generation.restype = ctypes.c_uint64
        library.thump_wait_generation.argtypes = [ctypes.c_uint64, ctypes.c_int]
        library.thump_restore_time_ns.restype = ctypes.c_int64
        return library
    raise ImportError(f"{_LIBRARY} is not installed where it is looked for (LD_LIBRARY_PATH)")


_library = _load()


def _os_error():
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


class Registration:
    """A hook that is registered, until close() or the end of a `with`."""

    def __init__(self, before, after, name, priority, limit):
        def call_before(_ctx, why, room):
            try:
                refused = before is not None and before() is False
                reason = "it returned False"
            except BaseException as error:  # whatever it is must not get lost in C
                refused, reason = True, f"{type(error).__name__}: {error}"
            if refused:
                text = reason.encode(errors="replace")[:room - 1] + b"\0"
                ctypes.memmove(why, text, len(text))
            return int(refused)

        def call_after(_ctx, outcome):
            if after is not None:
                after(Outcome(outcome))

        # They must live as long as the library may call them.
        self._calls = _Before(call_before), _After(call_after)
        hook = _Hook(size_bytes=ctypes.sizeof(_Hook), name=os.fsencode(name),
                     before=self._calls[0], after=self._calls[1], priority=int(priority), mode=0,
                     limit_ms=max(1, round(limit * 1000)))
        self._handle = _library.thump_register(ctypes.byref(hook))
        if not self._handle:
            raise _os_error()
        _registrations.add(self)

    def close(self):
        """Takes the hook back. Waits for a checkpoint that is under way, unless a hook calls this."""
        handle, self._handle = self._handle, None
        if handle:
            _library.thump_unregister(handle)
            _registrations.discard(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


_registrations = set()


def register(before=None, after=None, *, name=None, priority=Priority.MEDIUM, limit=30.0):
    """Registers a hook. before(): an exception, or False, and there is no checkpoint now.
    after(outcome): in whichever process goes on, also when there was no checkpoint; what it raises
    goes to sys.unraisablehook. limit: seconds that each call may take. The hook is kept until
    close() of what is returned."""
    name = name or getattr(before or after, "__qualname__", None) or "python"
    return Registration(before, after, name, priority, limit)


def checkpoint(image=None, *, leave_running=False, dry_run=False, thump=None):
    """Has this process saved. Like os.fork() it returns more than once: Outcome.RESTORED in every
    process made from the image, Outcome.SAVED in this one if it is left running. A dry run that
    finds nothing in the way returns Outcome.NOT_SAVED. Raises Refused, or OSError."""
    why = ctypes.create_string_buffer(_WHY_BYTES)
    request = _Request(size_bytes=ctypes.sizeof(_Request),
                       image=None if image is None else os.fsencode(image),
                       leave_running=leave_running, dry_run=dry_run,
                       thump=None if thump is None else os.fsencode(thump),
                       why=ctypes.cast(why, ctypes.c_char_p), why_size_bytes=_WHY_BYTES)
    result = _library.thump_checkpoint(ctypes.byref(request))
    if result >= 0:
        return Outcome(result)
    error = _os_error()
    if why.value:
        raise Refused(why.value.decode(errors="replace").splitlines()) from error
    raise error


def generation():
    """0 in a process that was never restored, else a random number that no other has."""
    return _library.thump_generation()


def wait_generation(seen, timeout=None):
    """Waits until generation() is not `seen`; False after `timeout` seconds."""
    if _library.thump_wait_generation(seen, -1 if timeout is None else round(timeout * 1000)) == 0:
        return True
    error = _os_error()
    if isinstance(error, TimeoutError):
        return False
    raise error


def restore_time():
    """When this process was restored, as time.time(); None when it never was."""
    nanoseconds = _library.thump_restore_time_ns()
    return nanoseconds / 1e9 if nanoseconds else None


def _reseed(outcome):
    if outcome is Outcome.RESTORED:
        random.seed()


# Low: so it is called first afterwards, and other hooks may draw.
register(after=_reseed, name="random", priority=Priority.LOW)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_registrations.clear)
