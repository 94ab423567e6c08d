# SPDX-License-Identifier: Apache-2.0
"""Environment variables for one execution: the agent runs enter() before it and leave() after it."""

import os

_before = {}


def enter(variables):
    """Set variables; remember what they were. Forgets what an earlier call remembered."""
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
