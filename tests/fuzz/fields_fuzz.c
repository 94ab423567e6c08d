/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field values that have a grammar of their own. Input: one a line, in the order of the names
 * below; the length of the input stands for the size of a file.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "wire/header_param.h"
#include "wire/http.h"
#include "wire/http_cond.h"
#include "wire/http_date.h"
#include "wire/http_range.h"

#define NOW 1795226744
#define ETAG "\"1f-5\""

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char *const names[] = { "range", "if-match", "if-none-match", "if-modified-since",
	"if-unmodified-since", "if-range", "content-disposition" };

static void read_range(const char *value, uint64_t size)
{
	uint64_t first = 0, length = 0;
	if (http_range_parse(value, size, &first, &length) == HTTP_RANGE_PART)
		assert(length >= 1 && first < size && length <= size - first);
}

static void read_date(const char *value)
{
	char again[HTTP_DATE_MAX];
	int64_t t, same;
	if (http_date_parse(value, NOW, &t) < 0)
		return;
	assert(strlen(http_date(t, again)) == 29);
	if (t >= 0)
		assert(http_date_parse(again, NOW, &same) == 0 && same == t);
}

static void read_param(const char *value)
{
	CLEAN_FREE char *plain = NULL;
	CLEAN_FREE char *text = NULL;
	int r = header_param(value, "filename", &plain);
	assert(r == 0 || (r == -EINVAL && !plain));
	r = header_param_utf8(value, "filename", &text);
	assert(r == 0 || (r == -EINVAL && !text));
	assert(!text || str_utf8_valid(text, strlen(text)));
}

static void read_value(const char *name, const char *value, uint64_t size)
{
	if (str_eq(name, "range"))
		read_range(value, size);
	else if (str_eq(name, "content-disposition"))
		read_param(value);
	else
		read_date(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct http_fields f = { 0 };
	char *text = mem_strndup((const char *)p, n), *save = NULL;
	assert(text);
	char *line = strtok_r(text, "\n", &save);
	for (size_t i = 0; line && i < sizeof(names) / sizeof(names[0]); i++) {
		read_value(names[i], line, n);
		if (strlen(line) > 1) /* "-" leaves one out; what no field may hold is refused */
			(void)http_fields_add(&f, names[i], line);
		line = strtok_r(NULL, "\n", &save);
	}
	enum http_cond cond = http_cond_check(&f, ETAG, NOW - 1000, NOW);
	assert(cond == HTTP_COND_GO || f.n > 0);
	(void)http_cond_range_counts(&f, ETAG, NOW - 1000, NOW);
	http_fields_fini(&f);
	free(text);
	return 0;
}
