/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot files. State: a mark, the format's number, the configuration, a CRC64 at the end.
 * Memory: as large as the guest's, sparse, its program at the front.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

#define MARK "FAKEFCST"
#define STATE_MAX (1u << 20)
#define LOAD "Load snapshot error: "
#define STATE_BAD \
	LOAD "Failed to get snapshot state from file: Failed to load snapshot state from file: "

static uint64_t crc64(const void *p, size_t n)
{
	uint64_t c = ~0ull;
	for (const unsigned char *b = p; n > 0; n--, b++) {
		c ^= *b;
		for (int i = 0; i < 8; i++)
			c = c & 1 ? c >> 1 ^ 0xc96c5795d7870f42ull : c >> 1;
	}
	return ~c;
}

static bool put_bytes(int fd, const void *p, size_t n)
{
	for (const char *b = p; n > 0;) {
		ssize_t k = write(fd, b, n);
		if (k <= 0)
			return false;
		b += k;
		n -= (size_t)k;
	}
	return true;
}

static int write_state(struct fake *f, const char *path)
{
	char *config = json_dumps(f->config, JSON_COMPACT), *text = NULL;
	int n = asprintf(&text, MARK "%s\n%s", f->script.snapshot_version, config);
	free(config);
	if (n < 0)
		abort();
	uint64_t crc = crc64(text, (size_t)n);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : 0;
	if (r == 0 &&
	    (!put_bytes(fd, text, (size_t)n) || !put_bytes(fd, &crc, sizeof(crc)) || fsync(fd) < 0))
		r = -EIO;
	if (fd >= 0)
		(void)close(fd);
	free(text);
	return r;
}

static off_t memory_size(const struct fake *f)
{
	json_t *m = json_object_get(f->config, "machine-config");
	json_int_t mib = m ? json_integer_value(json_object_get(m, "mem_size_mib")) : 128;
	return (off_t)mib << 20;
}

static int write_memory(struct fake *f, const char *path)
{
	uint64_t n = f->program_len;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : 0;
	if (r == 0 && ftruncate(fd, memory_size(f)) < 0)
		r = -errno;
	if (r == 0 &&
	    (!put_bytes(fd, &n, sizeof(n)) || !put_bytes(fd, f->program, n) || fsync(fd) < 0))
		r = -EIO;
	if (fd >= 0)
		(void)close(fd);
	return r;
}

struct fake_answer fake_snapshot_create(struct fake *f, json_t *o)
{
	if (f->state != FAKE_PAUSED)
		return fake_refuse("Create snapshot error: Cannot save the microVM state: "
				   "Operation not allowed on a running microVM.");
	int r = write_state(f, json_string_value(json_object_get(o, "snapshot_path")));
	if (r < 0)
		return fake_refuse("Create snapshot error: Cannot perform %s on the snapshot "
				   "backing file: %s (os error %d)",
		    "open", strerror(-r), -r);
	r = write_memory(f, json_string_value(json_object_get(o, "mem_file_path")));
	if (r < 0)
		return fake_refuse("Create snapshot error: Cannot write memory file: %s (os error "
				   "%d)",
		    strerror(-r), -r);
	f->snapped = true;
	fake_vsock_mark(f);
	return fake_done();
}

/* ---- load ---- */

static char *read_state(struct fake *f, const char *path, struct fake_answer *why)
{
	char *text = malloc(STATE_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 || !text ? -1 : read(fd, text, STATE_MAX - 1);
	uint64_t crc = 0;
	size_t version = strlen(f->script.snapshot_version);
	if (fd >= 0)
		(void)close(fd);
	if (n < 0) {
		*why = fake_refuse(LOAD "Failed to get snapshot state from file: Failed to open "
					"snapshot file: %s (os error %d)",
		    strerror(errno), errno);
	} else if (n < 24) {
		*why = fake_refuse(STATE_BAD "failed to fill whole buffer");
	} else {
		n -= sizeof(crc);
		memcpy(&crc, text + n, sizeof(crc));
		if (crc != crc64(text, (size_t)n)) {
			*why = fake_refuse(
			    STATE_BAD "CRC64 validation failed: %llx", (unsigned long long)crc);
		} else if (strncmp(text, MARK, 8) != 0 ||
			   strncmp(text + 8, f->script.snapshot_version, version) != 0 ||
			   text[8 + version] != '\n') {
			*why = fake_refuse(
			    STATE_BAD "The snapshot version is not supported: %.8s", text + 8);
		} else {
			text[n] = '\0';
			memmove(text, text + 9 + version, (size_t)n + 1 - 9 - version);
			return text;
		}
	}
	free(text);
	return NULL;
}

static struct fake_answer read_memory(struct fake *f, const char *path)
{
	struct stat st;
	uint64_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fake_refuse(LOAD "Failed to load guest memory: Error creating guest memory "
					"from file: Failed to load guest memory: %s (os error %d)",
		    strerror(errno), errno);
	bool good = fstat(fd, &st) == 0 && st.st_size >= memory_size(f) &&
		    read(fd, &n, sizeof(n)) == sizeof(n) && n < (256u << 20);
	if (good && n > 0) {
		f->program = malloc(n);
		f->program_len = n;
		for (size_t at = 0; good && f->program && at < n;) {
			ssize_t k = read(fd, f->program + at, n - at);
			good = k > 0;
			at += good ? (size_t)k : 0;
		}
	}
	(void)close(fd);
	if (!good)
		return fake_refuse(LOAD "Failed to load guest memory: Error creating guest memory "
					"from file: the file is shorter than the memory");
	return fake_done();
}

static json_t *find_override(json_t *list, const char *id)
{
	size_t i;
	json_t *o;
	json_array_foreach(list, i, o)
	{
		if (strcmp(json_string_value(json_object_get(o, "iface_id")), id) == 0)
			return o;
	}
	return NULL;
}

static struct fake_answer open_devices(struct fake *f, json_t *o)
{
	json_t *nets = json_object_get(o, "network_overrides"), *v;
	const char *key;
	size_t used = 0;
	json_object_foreach(f->config, key, v)
	{
		if (strncmp(key, "drives/", 7) == 0) {
			struct fake_answer a = fake_put_drive(f, key + 7, v);
			if (a.status != 204)
				return a;
		} else if (strncmp(key, "network-interfaces/", 19) == 0) {
			json_t *over = find_override(nets, key + 19);
			used += over != NULL;
			struct fake_answer a = fake_put_net(f, key + 19, over ? over : v);
			if (a.status != 204)
				return a;
		}
	}
	if (used < json_array_size(nets))
		return fake_refuse(LOAD "Failed to restore from snapshot: Unknown Network Device.");
	json_t *over = json_object_get(o, "vsock_override"), *vsock;
	vsock = json_object_get(f->config, "vsock");
	if (over && !vsock)
		return fake_refuse(LOAD "Failed to restore from snapshot: Unknown Vsock Device.");
	if (!vsock)
		return fake_done();
	int e =
	    fake_vsock_bind(f, json_string_value(json_object_get(over ? over : vsock, "uds_path")));
	return e == 0 ? fake_done()
		      : fake_refuse(LOAD "Failed to restore from snapshot: Error binding to the "
					 "host-side Unix socket: %s (os error %d)",
			    strerror(-e), -e);
}

static struct fake_answer check_backend(json_t *o, const char **ret_path)
{
	json_t *b = json_object_get(o, "mem_backend");
	const char *old = json_string_value(json_object_get(o, "mem_file_path"));
	if (b && old)
		return fake_refuse(LOAD "too many fields: either `mem_backend` or `mem_file_path` "
					"exclusively is required");
	if (!b && !old)
		return fake_refuse(
		    LOAD "missing field: either `mem_backend` or `mem_file_path` is required");
	*ret_path = b ? json_string_value(json_object_get(b, "backend_path")) : old;
	if (b && strcmp(json_string_value(json_object_get(b, "backend_type")), "Uffd") == 0)
		return fake_refuse(LOAD "Failed to load guest memory: cannot connect to the UFFD "
					"socket");
	return fake_done();
}

struct fake_answer fake_snapshot_load(struct fake *f, json_t *o, bool *ret_fatal)
{
	const char *memory = NULL;
	if (f->state != FAKE_NOT_STARTED || f->boot_path)
		return fake_refuse(LOAD "Loading a microVM snapshot not allowed after configuring "
					"boot-specific resources.");
	*ret_fatal = true;
	struct fake_answer a = check_backend(o, &memory);
	if (a.status != 204)
		return a;
	char *text = read_state(f, json_string_value(json_object_get(o, "snapshot_path")), &a);
	if (!text)
		return a;
	json_t *config = json_loads(text, 0, NULL);
	free(text);
	if (!config)
		return fake_refuse(STATE_BAD "not a state");
	json_decref(f->config);
	f->config = config;
	a = read_memory(f, memory);
	if (a.status == 204)
		a = open_devices(f, o);
	if (a.status != 204)
		return a;
	int r = fake_guest_start(f);
	if (r < 0)
		return fake_refuse(LOAD "%s", strerror(-r));
	*ret_fatal = false;
	f->by_load = true;
	f->state = FAKE_PAUSED;
	if (json_is_true(json_object_get(o, "resume_vm")))
		f->state = FAKE_RUNNING;
	else
		fake_guest_freeze(f, true);
	return fake_done();
}
