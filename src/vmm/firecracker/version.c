/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/firecracker/version.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

#define NUMBER_MAX 9999u

static const char *read_number(const char *s, unsigned *ret)
{
	unsigned n = 0;
	if (!isdigit((unsigned char)*s))
		return NULL;
	for (; isdigit((unsigned char)*s); s++) {
		n = n * 10 + (unsigned)(*s - '0');
		if (n > NUMBER_MAX)
			return NULL;
	}
	*ret = n;
	return s;
}

int fc_version_parse_plain(const char *text, struct fc_version *ret)
{
	struct fc_version v;
	const char *s = read_number(text + (text[0] == 'v'), &v.major);
	s = s && *s == '.' ? read_number(s + 1, &v.minor) : NULL;
	s = s && *s == '.' ? read_number(s + 1, &v.patch) : NULL;
	/* "1.17.0-dev" and "1.16.1-custom" are what comes before the dash. */
	if (!s || (*s && !isspace((unsigned char)*s) && *s != '-'))
		return -EBADMSG;
	*ret = v;
	return 0;
}

int fc_version_parse(const char *program, const char *text, struct fc_version *ret)
{
	const char *rest = str_after(text, program);
	return rest && rest[0] == ' ' ? fc_version_parse_plain(rest + 1, ret) : -EBADMSG;
}

bool fc_version_is_at_least(
    const struct fc_version *v, unsigned major, unsigned minor, unsigned patch)
{
	if (v->major != major)
		return v->major > major;
	if (v->minor != minor)
		return v->minor > minor;
	return v->patch >= patch;
}

int fc_version_check(const struct fc_version *v, struct err *reterr)
{
	const char *why = NULL;
	if (v->major != 1)
		why = "its API is not the one that is known here (1.x)";
	else if (!fc_version_is_at_least(v, 1, 15, 1))
		why = "it is out of support, and memory of its snapshots may be damaged";
	else if (v->minor == 16 && v->patch == 0)
		why = "after a restore its guests cannot reach the host over vsock";
	if (!why)
		return 0;
	return err_set(reterr, -ENOTSUP,
	    "Firecracker %u.%u.%u is not used: %s; install 1.17 or later (1.15.1 and 1.16.1 work, "
	    "too)",
	    v->major, v->minor, v->patch, why);
}

unsigned fc_version_caps(const struct fc_version *v)
{
	unsigned caps = 0;
	if (fc_version_is_at_least(v, 1, 16, 0))
		caps |= FC_CAP_SERIAL_LIMIT | FC_CAP_VSOCK_OVERRIDE | FC_CAP_MTU;
	if (fc_version_is_at_least(v, 1, 17, 0))
		caps |= FC_CAP_METRICS_ID;
	if (v->minor != 16)
		caps |= FC_CAP_BARE_PAUSE; /* the fix is not in 1.16.1 */
	return caps;
}
