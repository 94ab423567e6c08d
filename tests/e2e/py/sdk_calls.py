"""Which public methods of the stock SDK were called in this session, and how they ended."""
import functools
import inspect

from e2b import AsyncCommandHandle, AsyncSandbox, AsyncWatchHandle, CommandHandle, Sandbox, WatchHandle

MODULES = ("commands", "pty", "files", "git")
RETURNED = set()  # (class, method)
RAISED = {}  # (class, method) -> names of the exceptions' classes


def classes():
    """By a readable name: the modules of both kinds of sandbox, and the handles that their methods return."""
    found = {"CommandHandle": CommandHandle, "AsyncCommandHandle": AsyncCommandHandle, "WatchHandle": WatchHandle,
             "AsyncWatchHandle": AsyncWatchHandle}
    for sandbox in (Sandbox, AsyncSandbox):
        for module in MODULES:
            found[f"{sandbox.__name__}.{module}"] = inspect.signature(getattr(sandbox, module).fget).return_annotation
    return found


def methods(cls):
    return [name for name, _ in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")]


class Noting:
    """Around one call."""

    def __init__(self, key):
        self.key = key

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            RETURNED.add(self.key)
        else:
            RAISED.setdefault(self.key, set()).add(kind.__name__)


def watched(method, key):
    """The same for callers: what is asynchronous stays so."""
    if inspect.iscoroutinefunction(method):
        @functools.wraps(method)
        async def call(*args, **kwargs):
            with Noting(key):
                return await method(*args, **kwargs)
    else:
        @functools.wraps(method)
        def call(*args, **kwargs):
            with Noting(key):
                return method(*args, **kwargs)
    return call


def watch_all():
    for cls_name, cls in classes().items():
        for name in methods(cls):
            setattr(cls, name, watched(getattr(cls, name), (cls_name, name)))
