/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http_accept.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "wire/http.h"

enum wish { WISH_NONE, WISH_NO, WISH_YES };

static bool is_name(const char *p, size_t n, const char *name)
{
	return n == strlen(name) && strncasecmp(p, name, n) == 0;
}

/* ";q=0", ";q=0.0" and so on. */
static bool is_refused(const char *p, size_t n)
{
	const char *end = p + n;
	while (p < end && strchr(" \t;", *p))
		p++;
	if (end - p < 3 || (*p != 'q' && *p != 'Q') || p[1] != '=')
		return false;
	for (p += 2; p < end; p++)
		if (*p >= '1' && *p <= '9')
			return false;
	return true;
}

static void take(const char *p, size_t n, enum wish *gzip, enum wish *identity, enum wish *any)
{
	size_t name = strcspn(p, "; \t,");
	if (name > n)
		name = n;
	enum wish w = is_refused(p + name, n - name) ? WISH_NO : WISH_YES;
	if (is_name(p, name, "gzip") || is_name(p, name, "x-gzip"))
		*gzip = w;
	else if (is_name(p, name, "identity"))
		*identity = w;
	else if (is_name(p, name, "*"))
		*any = w;
}

struct http_accept http_accept_encoding(const struct http_fields *f)
{
	enum wish gzip = WISH_NONE, identity = WISH_NONE, any = WISH_NONE;
	for (size_t i = 0; i < f->n; i++) {
		if (!str_eq(f->v[i].name, "accept-encoding"))
			continue;
		for (const char *p = f->v[i].value; *p;) {
			p += strspn(p, " \t,");
			size_t n = strcspn(p, ",");
			take(p, n, &gzip, &identity, &any);
			p += n;
		}
	}
	return (struct http_accept){
		.gzip = gzip == WISH_YES || (gzip == WISH_NONE && any == WISH_YES),
		.identity = identity == WISH_YES || (identity == WISH_NONE && any != WISH_NO),
	};
}
