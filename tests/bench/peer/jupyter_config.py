# Jupyter Server as E2B runs it, plus the one-line fix that makes it a fair opponent: TCP_NODELAY on every stream.
import socket

from tornado import iostream

_init = iostream.IOStream.__init__


def _init_nodelay(self, sock, *args, **kwargs):
    _init(self, sock, *args, **kwargs)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


iostream.IOStream.__init__ = _init_nodelay
c.ServerApp.iopub_data_rate_limit = 1e9  # noqa: F821
c.ServerApp.token = ""  # noqa: F821
c.ServerApp.password = ""  # noqa: F821
c.ServerApp.disable_check_xsrf = True  # noqa: F821
c.ServerApp.open_browser = False  # noqa: F821
c.ServerApp.allow_root = True  # noqa: F821
