/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the daemon's configuration file: values that it may use, or an error. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_values(const struct config *c)
{
	assert(c->state_dir[0] == '/' && c->runtime_dir[0] == '/' && c->template_dir[0] == '/');
	assert(c->agent[0] == '\0' || c->agent[0] == '/');
	assert(c->max_sandboxes >= 1 && c->max_per_team >= 1 && c->max_connections >= 16);
	assert(c->user[0] && strlen(c->user) <= 32 && strlen(c->domain) <= 253);
	assert(!strpbrk(c->domain, " /\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct config c = { 0 };
	struct err err = ERR_INIT;
	int r = config_parse(&c, "f", p, n, &err);
	assert(r == err.code && (r == 0 || r == -ENOMEM || strncmp(err.text, "f:", 2) == 0));
	if (r == 0) {
		check_values(&c);
		r = config_check(&c, &err);
		assert(r == err.code);
	}
	config_fini(&c);
	return 0;
}
