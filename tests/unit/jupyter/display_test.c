/* SPDX-License-Identifier: Apache-2.0 */
/* MIME types of results, and the display hooks of the Python launcher. */
#include "kernels.h"

#include <string.h>

#include "base/str.h"

static const char *text_of(const struct record *r, size_t i, const char *mime)
{
	const char *s = json_string_value(record_data(r, i, mime));

	return s ? s : "";
}

static void expect_json(const struct record *r, size_t i, const char *mime, const char *json)
{
	json_t *expected = json_loads(json, JSON_DECODE_ANY, NULL);
	const json_t *got = record_data(r, i, mime);
	char *text = got ? json_dumps(got, JSON_ENCODE_ANY) : NULL;

	ck_assert_ptr_nonnull(expected);
	ck_assert_msg(json_equal(expected, got), "%s: %s", mime, text ? text : "absent");
	free(text);
	json_decref(expected);
}

START_TEST(test_mime_types)
{
	struct context *c = kernels_python();
	struct record *r = record_run(c,
	    "from IPython.display import *\n"
	    "display(HTML('<b>'), Markdown('*m*'), Latex('$x$'), SVG('<svg></svg>'))\n"
	    "display({'application/x-own': 'v', 'text/plain': 'p'}, raw=True)\n"
	    "Javascript('1')");

	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_str_eq(record_order(r), "brrrrrR$");
	ck_assert_str_eq(text_of(r, 0, "text/html"), "<b>");
	ck_assert_str_eq(text_of(r, 1, "text/markdown"), "*m*");
	ck_assert_str_eq(text_of(r, 2, "text/latex"), "$x$");
	ck_assert_str_eq(text_of(r, 3, "image/svg+xml"), "<svg/>");
	ck_assert_str_eq(text_of(r, 4, "application/x-own"), "v");
	ck_assert_str_eq(text_of(r, 5, "application/javascript"), "1");
	record_free(r);
}
END_TEST

START_TEST(test_json)
{
	struct context *c = kernels_python();
	struct record *r = record_run(c, "{'a': [1, 2.5, None, True], 3: float('nan')}");

	expect_json(r, 0, "application/json", "{\"a\": [1, 2.5, null, true], \"3\": null}");
	record_free(r);
	r = record_run(c, "[object()]");
	ck_assert_str_eq(record_order(r), "bR$");
	ck_assert_ptr_null(record_data(r, 0, "application/json"));
	record_free(r);
	r = record_run(c, "l = []; l.append(l); l");
	ck_assert_str_eq(record_order(r), "bR$");
	record_free(r);
	r = record_run(c, "list(range(2000))");
	ck_assert_ptr_nonnull(strstr(text_of(r, 0, "text/plain"), "1999"));
	record_free(r);
}
END_TEST

START_TEST(test_hooks_of_objects)
{
	struct context *c = kernels_python();
	struct record *r = record_run(c, "class D:\n  def _repr_e2b_data_(self): return {'d': 1}\n"
					 "  def _repr_e2b_chart_(self): return {'type': 'line'}\n"
					 "  def _repr_json_(self): return {'j': 1}, {'m': 1}\nD()");

	expect_json(r, 0, "e2b/data", "{\"d\": 1}");
	expect_json(r, 0, "e2b/chart", "{\"type\": \"line\"}");
	expect_json(r, 0, "application/json", "{\"j\": 1}");
	record_free(r);
}
END_TEST

START_TEST(test_plain_values_import_nothing)
{
	struct context *c = kernels_python();

	kernels_expect(c,
	    "[1]\nimport sys\nprint([m for m in ('pandas', 'matplotlib', 'numpy', 'PIL', "
	    "'debugpy') "
	    "if m in sys.modules])",
	    "[]\n");
	kernels_expect(
	    c, "print([p for p in sys.path if 'sandglass' in p and 'lib' not in p])", "[]\n");
}
END_TEST

START_TEST(test_pandas)
{
	struct context *c = kernels_python();
	struct record *r =
	    record_run(c, "import pandas as pd\npd.DataFrame({'n': [1, 2], 's': pd.Series(['a', "
			  "None], dtype=object), "
			  "'t': pd.to_datetime(['2024-01-02T00:00:00', '2024-01-03T04:05:06'])})");

	ck_assert_int_eq(r->how, EXEC_OK);
	expect_json(r, 0, "e2b/data",
	    "{\"n\": [1, 2], \"s\": [\"a\", null], "
	    "\"t\": [\"2024-01-02T00:00:00\", \"2024-01-03T04:05:06\"]}");
	ck_assert_ptr_nonnull(strstr(text_of(r, 0, "text/html"), "<table"));
	record_free(r);
	r = record_run(c, "import decimal\n"
			  "pd.DataFrame({('a', 1): [decimal.Decimal('1.5'), object]})");
	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_ptr_nonnull(record_data(r, 0, "e2b/data"));
	record_free(r);
	r = record_run(c, "pd.Series([1])");
	ck_assert_ptr_null(record_data(r, 0, "e2b/data"));
	record_free(r);
}
END_TEST

START_TEST(test_matplotlib)
{
	struct context *c = kernels_python();
	struct record *r = record_run(c,
	    "import sys, types\nm = types.ModuleType('e2b_charts')\n"
	    "def chart(figure):\n"
	    "  if not figure.axes: raise ValueError('empty')\n"
	    "  return {'type': 'line', 'title': figure.axes[0].get_title()}\n"
	    "m.chart_figure_to_dict = chart\nsys.modules['e2b_charts'] = m\n"
	    "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.title('T')\nplt.show()\n"
	    "print('after')\nplt.figure(); plt.gcf()");

	ck_assert_msg(r->how == EXEC_OK, "%s: %s", r->error, r->value);
	/* base64 of a PNG's first bytes */
	ck_assert_int_eq(strncmp(text_of(r, 0, "image/png"), "iVBORw0KGgo", 11), 0);
	expect_json(r, 0, "e2b/chart", "{\"type\": \"line\", \"title\": \"T\"}");
	expect_json(r, 1, "e2b/chart", "{}");
	record_free(r);
	/* At the end of a cell, without show(). */
	r = record_run(c, "plt.plot([3, 4]);");
	ck_assert_uint_eq(json_array_size(r->results), 1);
	ck_assert_ptr_nonnull(record_data(r, 0, "image/png"));
	record_free(r);
}
END_TEST

START_TEST(test_images)
{
	struct context *c = kernels_python();
	struct record *r =
	    record_run(c, "import io\nfrom PIL import Image\nim = Image.new('RGB', (2, 2))\n"
			  "im.save('x.png')\nim.save(io.BytesIO(), 'png')\nim.show()\nim");

	ck_assert_msg(r->how == EXEC_OK, "%s: %s", r->error, r->value);
	ck_assert_str_eq(record_order(r), "brrR$");
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(strncmp(text_of(r, i, "image/png"), "iVBORw0KGgo", 11), 0);
	record_free(r);
	kernels_expect(c, "import os; print(os.path.exists('x.png'))", "True\n");
}
END_TEST

void add_display_tests(Suite *s)
{
	TCase *tc = test_case(s, "display", 60);

	tcase_add_checked_fixture(tc, kernels_setup, kernels_teardown);
	tcase_add_test(tc, test_mime_types);
	tcase_add_test(tc, test_json);
	tcase_add_test(tc, test_hooks_of_objects);
	tcase_add_test(tc, test_plain_values_import_nothing);
	tcase_add_test(tc, test_pandas);
	tcase_add_test(tc, test_matplotlib);
	tcase_add_test(tc, test_images);
}
