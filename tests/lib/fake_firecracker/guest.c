/* SPDX-License-Identifier: Apache-2.0 */
/* The guest: a process with two listening sockets, stopped while the machine is paused. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake.h"

#define CPIO_HEAD 110
#define INITRD_MAX (256ll << 20)

/* ---- initrd: newc ---- */

static unsigned long cpio_number(const unsigned char *head, int field)
{
	char text[9] = "";
	memcpy(text, head + 6 + 8 * field, 8);
	return strtoul(text, NULL, 16);
}

static bool find_init(const unsigned char *p, size_t n, size_t *ret_at, size_t *ret_len)
{
	for (size_t at = 0; at + CPIO_HEAD <= n && memcmp(p + at, "070701", 6) == 0;) {
		size_t name_len = cpio_number(p + at, 11), len = cpio_number(p + at, 6);
		size_t data = (at + CPIO_HEAD + name_len + 3) & ~(size_t)3;
		const char *name = (const char *)p + at + CPIO_HEAD;
		if (name_len == 0 || data > n || len > n - data)
			return false;
		if (strcmp(name, "init") == 0 || strcmp(name, "/init") == 0) {
			*ret_at = data;
			*ret_len = len;
			return true;
		}
		at = (data + len + 3) & ~(size_t)3;
	}
	return false;
}

int fake_guest_read_initrd(struct fake *f, const char *path)
{
	struct stat st;
	size_t at = 0, len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0 || st.st_size > INITRD_MAX) {
		(void)close(fd);
		return 0;
	}
	unsigned char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (p == MAP_FAILED)
		return -errno;
	if (find_init(p, (size_t)st.st_size, &at, &len) && len > 0) {
		free(f->program);
		f->program = malloc(len);
		f->program_len = len;
		if (!f->program)
			abort();
		memcpy(f->program, p + at, len);
	}
	(void)munmap(p, (size_t)st.st_size);
	return 0;
}

/* ---- the process ---- */

static int listen_abstract(char name[32])
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	uint64_t tag;
	if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
		abort();
	(void)snprintf(name, 32, "fake-guest-%016llx", (unsigned long long)tag);
	memcpy(a.sun_path + 1, name, strlen(name));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) < 0 || listen(fd, 64) < 0)
		return -errno;
	return fd;
}

/* Without a program: whatever comes goes back. */
static void echo(void) __attribute__((noreturn));
static void echo(void)
{
	struct pollfd p[34] = { { 3, POLLIN, 0 }, { 4, POLLIN, 0 } };
	nfds_t n = 2;
	for (;;) {
		if (poll(p, n, -1) < 0)
			_exit(1);
		for (nfds_t i = 0; i < n; i++) {
			char text[4096];
			if (!p[i].revents)
				continue;
			if (i < 2) {
				int fd = accept(p[i].fd, NULL, NULL);
				if (fd >= 0 && n < 34)
					p[n++] = (struct pollfd){ fd, POLLIN, 0 };
				continue;
			}
			ssize_t k = read(p[i].fd, text, sizeof(text));
			if (k <= 0 || write(p[i].fd, text, (size_t)k) != k) {
				(void)close(p[i].fd);
				p[i] = p[--n];
				break;
			}
		}
	}
}

static void become_guest(struct fake *f, int control, int data) __attribute__((noreturn));
static void become_guest(struct fake *f, int control, int data)
{
	static char *const argv[] = { "init", NULL };
	static char *const envp[] = { "PATH=/usr/bin:/bin", "HOME=/", NULL };
	int high_control = fcntl(control, F_DUPFD_CLOEXEC, 32);
	int high_data = fcntl(data, F_DUPFD_CLOEXEC, 32);
	int null = open("/dev/null", O_RDWR);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(high_control, 3);
	(void)dup2(high_data, 4);
	if (null >= 0)
		(void)dup2(null, 0);
	if (f->serial_fd >= 0) {
		(void)dup2(f->serial_fd, 1);
		(void)dup2(f->serial_fd, 2);
	}
	int program = -1;
	if (f->program_len > 0) {
		program = memfd_create("guest", 0);
		if (program < 0 ||
		    write(program, f->program, f->program_len) != (ssize_t)f->program_len)
			_exit(1);
	}
	(void)close_range(5, program >= 0 ? (unsigned)program - 1 : ~0u, 0);
	if (program < 0)
		echo();
	(void)fcntl(program, F_SETFD, FD_CLOEXEC);
	(void)fexecve(program, argv, envp);
	_exit(127);
}

int fake_guest_start(struct fake *f)
{
	int control = listen_abstract(f->guest_name[0]), data = listen_abstract(f->guest_name[1]);
	if (control < 0 || data < 0)
		return control < 0 ? control : data;
	if (f->script.console[0])
		(void)dprintf(f->serial_fd >= 0 ? f->serial_fd : 1, "%s", f->script.console);
	int ready[2];
	char none;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	f->guest = fork();
	if (f->guest == 0)
		become_guest(f, control, data);
	(void)close(control);
	(void)close(data);
	/* Ends when the child has let go of what is ours: it may be stopped then. */
	(void)close(ready[1]);
	while (read(ready[0], &none, 1) < 0 && errno == EINTR)
		;
	(void)close(ready[0]);
	f->guest_since = fake_now_ms();
	return f->guest < 0 ? -errno : 0;
}

void fake_guest_freeze(struct fake *f, bool on)
{
	if (f->guest > 0)
		(void)kill(f->guest, on ? SIGSTOP : SIGCONT);
}

void fake_guest_kill(struct fake *f)
{
	if (f->guest > 0)
		(void)kill(f->guest, SIGKILL);
}

int fake_guest_connect(struct fake *f, unsigned port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (f->script.guest_none || (port != 49001 && port != 49002))
		return -1;
	const char *name = f->guest_name[port - 49001];
	memcpy(a.sun_path + 1, name, strlen(name));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, n) == 0)
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return -1;
}
