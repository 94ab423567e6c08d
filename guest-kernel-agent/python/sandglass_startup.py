# SPDX-License-Identifier: Apache-2.0
"""What an IPython shell displays beyond its own: data of tables, data of charts, JSON, images that are saved.

Libraries are looked up in sys.modules: an object of a library that was not imported cannot exist, so a
plain value never pays for importing one.
"""

import importlib.abc
import importlib.machinery
import json
import sys

from IPython.core.formatters import BaseFormatter
from IPython.display import display
from traitlets import ObjectName, Unicode

PLAIN = (bool, bytes, complex, float, int, str, type(None))


def instance_of(obj, module, name):
    """isinstance() for a class that may not be loaded."""
    cls = getattr(sys.modules.get(module), name, None)
    return isinstance(cls, type) and isinstance(obj, cls)


# ---- tables ----


def plain_value(value):
    """A cell of a table as JSON can hold it."""
    if isinstance(value, PLAIN) and not isinstance(value, (bytes, complex)):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def frame_data(frame):
    columns = frame.to_dict(orient="list")
    return {str(name): [plain_value(v) for v in values] for name, values in columns.items()}


class DataFormatter(BaseFormatter):
    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = (dict, str)

    def __call__(self, obj):
        if isinstance(obj, PLAIN):
            return None
        if instance_of(obj, "pandas", "DataFrame"):
            return frame_data(obj)
        return super().__call__(obj)


# ---- charts ----


def suptitle(figure):
    """Figure.get_suptitle() of matplotlib 3.8, which e2b_charts asks for."""
    title = getattr(figure, "_suptitle", None)
    return title.get_text() if title is not None else ""


def figure_chart(figure):
    """{} when there is no chart in it that can be described; None without the package that does it."""
    try:
        from e2b_charts import chart_figure_to_dict
    except ImportError:
        return None
    if not hasattr(figure, "get_suptitle"):
        type(figure).get_suptitle = suptitle
    try:
        return chart_figure_to_dict(figure) or {}
    except Exception:
        return {}


class ChartFormatter(BaseFormatter):
    format_type = Unicode("e2b/chart")
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = (dict, str)

    def __call__(self, obj):
        if isinstance(obj, PLAIN):
            return None
        if instance_of(obj, "matplotlib.figure", "Figure"):
            return figure_chart(obj)
        return super().__call__(obj)


# ---- lists and dicts ----


def through_json(obj):
    try:
        import orjson
    except ImportError:
        return json.loads(json.dumps(obj), parse_constant=lambda name: None)
    return orjson.loads(orjson.dumps(obj, option=orjson.OPT_NON_STR_KEYS))


class JsonFormatter(BaseFormatter):
    format_type = Unicode("application/json")
    print_method = ObjectName("_repr_json_")
    _return_type = (dict, list)

    def __call__(self, obj):
        if isinstance(obj, PLAIN):
            return None
        if isinstance(obj, (dict, list)):
            try:
                return through_json(obj), {"expanded": True}
            except (TypeError, ValueError, RecursionError):
                return None
        return super().__call__(obj)

    def _check_return(self, result, obj):
        # Objects with the method may give (data, metadata).
        if isinstance(result, tuple) and len(result) == 2:
            return super()._check_return(result[0], obj) and result
        return super()._check_return(result, obj)


# ---- images ----


def show_saved_images(module):
    """PIL.Image: an image that is saved under a name is also displayed."""
    save = module.Image.save

    def save_and_display(self, fp, format=None, **params):
        if isinstance(fp, str):
            display(self)
        return save(self, fp, format, **params)

    save_and_display.__doc__ = save.__doc__
    module.Image.save = save_and_display


def show_without_viewer(module):
    """PIL.ImageShow: there is no screen; show() displays here and starts no program."""

    def show(self, image, **options):
        display(image)
        return True

    module.UnixViewer.show = show


class ImportHooks(importlib.abc.MetaPathFinder):
    """Calls a function with a module right after it was imported for the first time."""

    def __init__(self, hooks, report):
        self.hooks = hooks
        self.report = report

    def install(self):
        for name in list(self.hooks):
            if name in sys.modules:
                self.call(name, sys.modules[name])
        sys.meta_path.insert(0, self)

    def call(self, name, module):
        try:
            self.hooks.pop(name)(module)
        except Exception:
            self.report(name)

    def find_spec(self, name, path=None, target=None):
        if name not in self.hooks:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            if name in self.hooks:
                self.call(name, module)

        spec.loader.exec_module = exec_module
        return spec


# ---- all of it ----


def install(shell, report):
    formatters = shell.display_formatter.formatters
    for cls in (DataFormatter, ChartFormatter, JsonFormatter):
        try:
            formatter = cls(parent=shell.display_formatter)
            formatters[formatter.format_type] = formatter
        except Exception:
            report(cls.__name__)
    hooks = {"PIL.Image": show_saved_images, "PIL.ImageShow": show_without_viewer}
    try:
        ImportHooks(hooks, report).install()
    except Exception:
        report("import hooks")
