# SPDX-License-Identifier: Apache-2.0
"""What goes along with the code of an execute_request, in a field "sandglass" of its content:

set   environment variables to set, for good
env   environment variables for this execution alone
seed  true: new seeds for random number generators

In a request of its own each would cost a round trip through the kernel before somebody's first cell. A kernel
that understands the field says "sandglass": true in its kernel_info.
"""

import functools
import os
import sys

_before = {}


def enter(variables):
    """Set variables; remember what they were."""
    _before.clear()
    _before.update((name, os.environ.get(name)) for name in variables)
    os.environ.update(variables)


def leave():
    """Bring back what enter() remembered."""
    for name, value in _before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _before.clear()


def reseed():
    """Only generators that are there already: one that is imported later seeds itself."""
    for name in ("random", "numpy.random"):
        if name in sys.modules:
            sys.modules[name].seed()
    if "ssl" in sys.modules:  # OpenSSL's own notices a fork, but not that the machine was copied
        sys.modules["ssl"].RAND_add(os.urandom(32), 32.0)


def kernel_class():
    """IPythonKernel that does so; made when ipykernel can be imported."""
    from ipykernel.ipkernel import IPythonKernel

    class Kernel(IPythonKernel):
        @property
        def kernel_info(self):
            return dict(super().kernel_info, sandglass=True)

        @functools.wraps(IPythonKernel.do_execute)
        async def do_execute(self, *args, **kwargs):
            along = self.get_parent("shell").get("content", {}).get("sandglass")
            if not along:
                return await super().do_execute(*args, **kwargs)
            os.environ.update(along.get("set", {}))
            if along.get("seed"):
                reseed()
            enter(along.get("env", {}))
            try:
                return await super().do_execute(*args, **kwargs)
            finally:
                leave()

    return Kernel
