# Jupyter Server as E2B runs it, plus the one-line fix that makes it a fair opponent: TCP_NODELAY on every stream.
from tornado import iostream

_init = iostream.IOStream.__init__
_set_nodelay = iostream.IOStream.set_nodelay


def _init_nodelay(self, *args, **kwargs):
    _init(self, *args, **kwargs)
    _set_nodelay(self, True)


iostream.IOStream.__init__ = _init_nodelay
iostream.IOStream.set_nodelay = lambda self, value: _set_nodelay(self, True)  # tornado switches it off again
c.ServerApp.iopub_data_rate_limit = 1e9  # noqa: F821
c.ServerApp.token = ""  # noqa: F821
c.ServerApp.password = ""  # noqa: F821
c.ServerApp.disable_check_xsrf = True  # noqa: F821
c.ServerApp.open_browser = False  # noqa: F821
c.ServerApp.allow_root = True  # noqa: F821
