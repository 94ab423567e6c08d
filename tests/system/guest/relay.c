/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "base/fdutil.h"

#define GONE_MS 10000 /* for the rest of what the other side has to say */

/* False at the end of from, or when to takes no more. */
static bool pass(int from, int to)
{
	char chunk[65536];
	ssize_t n = read(from, chunk, sizeof(chunk));
	return n > 0 && (to < 0 || fd_write_all(to, chunk, (size_t)n) == 0);
}

/* Of a client that is gone, -1 stands in poll() and pass() for its descriptor. */
static void serve(int client, int other)
{
	for (;;) {
		struct pollfd p[2] = { { client, POLLIN, 0 }, { other, POLLIN, 0 } };
		if (poll(p, 2, client < 0 ? GONE_MS : -1) <= 0)
			return;
		bool gone = p[0].revents && !pass(client, other);
		if (p[1].revents && !pass(other, client)) {
			if (client < 0)
				return;
			gone = true;
		}
		if (gone) {
			client = fd_close(client);
			(void)shutdown(other, SHUT_WR);
		}
	}
}

static void run(int listener, const char *to)
{
	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (client >= 0 && fork() == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			int other = fd_connect_unix(to);
			if (other >= 0 && fcntl(other, F_SETFL, 0) == 0)
				serve(client, other);
			_exit(0);
		}
		if (client >= 0)
			(void)fd_close(client);
	}
}

pid_t relay_start(const char *path, const char *to)
{
	int listener = fd_listen_unix(path, 0600, 16);
	ck_assert_int_ge(listener, 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(listener, to);
	}
	(void)fd_close(listener);
	return pid;
}
