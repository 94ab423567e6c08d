/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/keys.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <fcntl.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "daemon/args.h"
#include "daemon/config.h"
#include "loop/loop.h"
#include "service/auth.h"
#include "store/store.h"

#define DEFAULT_TEAM "default"

int keys_store_path(const struct config *c, char *dst, size_t cap)
{
	return path_join(dst, cap, c->state_dir, "data/sandglass.db");
}

/* The team of that name, made when there is none. */
static int find_or_add_team(struct store *s, const struct config *c, const char *name,
    struct store_team *ret, struct err *reterr)
{
	struct store_team *teams = NULL;
	size_t n = 0;
	int r = store_load_teams(s, &teams, &n, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (str_eq(teams[i].name, name)) {
			*ret = teams[i];
			(void)mem_free(teams);
			return 0;
		}
	}
	(void)mem_free(teams);
	*ret =
	    (struct store_team){ .max_sandboxes = c->max_per_team, .created_ns = clock_real_ns() };
	if (str_copy(ret->name, sizeof(ret->name), name) >= sizeof(ret->name))
		return err_set(
		    reterr, -EINVAL, "team: expected at most %zu bytes", sizeof(ret->name) - 1);
	id_uuid(ret->id);
	return store_add_team(s, ret, reterr);
}

static int add_key(struct store *s, const struct config *c, const char *team_name, const char *name,
    char text[AUTH_KEY_LEN + 1], struct store_key *ret_row, struct err *reterr)
{
	struct store_team team;
	int r = find_or_add_team(s, c, team_name ? team_name : DEFAULT_TEAM, &team, reterr);
	if (r < 0)
		return r;
	r = auth_make_key(text, ret_row);
	if (r < 0)
		return err_set(reterr, r, "key: %s", err_name(r));
	if (str_copy(ret_row->name, sizeof(ret_row->name), name ? name : "") >=
	    sizeof(ret_row->name))
		return err_set(
		    reterr, -EINVAL, "name: expected at most %zu bytes", sizeof(ret_row->name) - 1);
	(void)str_copy(ret_row->team_id, sizeof(ret_row->team_id), team.id);
	ret_row->created_ns = clock_real_ns();
	return store_add_key(s, ret_row, reterr);
}

int keys_make_first(struct store *s, const struct config *c, bool force, char *text, size_t cap,
    bool *ret_made, struct err *reterr)
{
	struct store_key *rows = NULL, row;
	char made[AUTH_KEY_LEN + 1];
	size_t n = 0;
	bool have = false;
	int r = store_load_keys(s, &rows, &n, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		have |= rows[i].revoked_ns == 0;
	(void)mem_free(rows);
	*ret_made = !have || force;
	if (!*ret_made)
		return 0;
	r = add_key(s, c, NULL, "made by the server at start", made, &row, reterr);
	if (r == 0)
		(void)str_copy(text, cap, made);
	return r;
}

bool keys_is_valid(struct store *s, const char *text)
{
	unsigned char hash[HASH_SHA256_LEN];
	struct store_key *rows = NULL;
	size_t n = 0;
	bool valid = false;
	if (!auth_is_key(text) || hash_sha256(text, strlen(text), hash) < 0 ||
	    store_load_keys(s, &rows, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		valid |= rows[i].revoked_ns == 0 &&
			 str_ct_eq(rows[i].hash, sizeof(rows[i].hash), hash, sizeof(hash));
	(void)mem_free(rows);
	return valid;
}

static int list_keys(struct store *s, struct err *reterr)
{
	struct store_key *rows = NULL;
	struct store_team *teams = NULL;
	size_t n = 0, n_teams = 0;
	char when[CLOCK_RFC3339_MAX];
	int r = store_load_teams(s, &teams, &n_teams, reterr);
	if (r == 0)
		r = store_load_keys(s, &rows, &n, reterr);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *team = "?";
		for (size_t k = 0; k < n_teams; k++)
			if (str_eq(teams[k].id, rows[i].team_id))
				team = teams[k].name;
		(void)printf("%s  %s...  %-8s  %s  team %s  %s\n", rows[i].id, rows[i].prefix,
		    rows[i].revoked_ns ? "revoked" : "valid",
		    clock_rfc3339(rows[i].created_ns, when), team, rows[i].name);
	}
	(void)mem_free(rows);
	(void)mem_free(teams);
	return r;
}

/* A running server reads its keys again. Its process id stands in a root-owned file. */
static void tell_server(const struct config *c)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[PATH_LEN_MAX];
	uint64_t pid;
	if (path_join(path, sizeof(path), c->state_dir, "sandglassd.pid") < 0 ||
	    fd_read_file(AT_FDCWD, path, 32, &b) < 0)
		return;
	char *text = buf_cstr(&b);
	if (text)
		text[strcspn(text, "\n")] = '\0';
	if (text && str_u64(text, INT32_MAX, &pid) == 0 && pid > 1)
		(void)kill((pid_t)pid, SIGHUP);
}

static int act(const struct args *a, const struct config *c, struct store *s, struct err *reterr)
{
	char text[AUTH_KEY_LEN + 1];
	struct store_key row;
	if (str_eq(a->keys_action, "list"))
		return list_keys(s, reterr);
	int r = str_eq(a->keys_action, "revoke")
		    ? store_revoke_key(s, a->keys_id, clock_real_ns(), reterr)
		    : add_key(s, c, a->team, a->name, text, &row, reterr);
	if (r < 0)
		return r;
	if (str_eq(a->keys_action, "add"))
		(void)printf("%s\n", text);
	else
		(void)printf("revoked %s\n", a->keys_id);
	tell_server(c);
	return 0;
}

int keys_command(const struct args *a, const struct config *c)
{
	struct err err = ERR_INIT;
	char path[PATH_LEN_MAX];
	int r = keys_store_path(c, path, sizeof(path));
	struct loop *l = loop_new();
	struct store *s = r == 0 && l ? store_open(l, path, &err) : NULL;
	if (s)
		r = act(a, c, s, &err);
	else if (r == 0)
		r = err.code ? err.code : -ENOMEM;
	(void)store_close(s);
	(void)loop_free(l);
	if (r < 0)
		(void)fprintf(stderr, "sandglassd: keys %s: %s\n", a->keys_action,
		    err.code ? err_text(&err) : err_name(r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
