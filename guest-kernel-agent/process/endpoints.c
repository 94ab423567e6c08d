/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/process/endpoints.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/system/users.h"

static int open_pipe(int *ret_read, int *ret_write)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*ret_read = fds[0];
	*ret_write = fds[1];
	return 0;
}

static int open_terminal(
    struct endpoints *e, const struct process_terminal *t, const struct user *user)
{
	struct winsize size = { .ws_col = t->cols, .ws_row = t->rows };
	int unlocked = 0;
	e->out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (e->out < 0 || ioctl(e->out, TIOCSPTLCK, &unlocked) < 0)
		return -errno;
	e->child[0] = ioctl(e->out, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (e->child[0] < 0 || ioctl(e->out, TIOCSWINSZ, &size) < 0)
		return -errno;
	if (geteuid() == 0 && fchown(e->child[0], user->uid, (gid_t)-1) < 0)
		return -errno;
	e->child[1] = e->child[2] = e->child[0];
	e->in = fcntl(e->out, F_DUPFD_CLOEXEC, 0);
	return e->in < 0 ? -errno : fd_set_nonblock(e->out);
}

static int open_pipes(struct endpoints *e, bool stdin_open)
{
	int r = stdin_open ? open_pipe(&e->child[0], &e->in) : 0;
	if (r == 0)
		r = open_pipe(&e->out, &e->child[1]);
	if (r == 0)
		r = open_pipe(&e->err, &e->child[2]);
	if (r == 0)
		r = fd_set_nonblock(e->out);
	if (r == 0)
		r = fd_set_nonblock(e->err);
	return r < 0 || e->in < 0 ? r : fd_set_nonblock(e->in);
}

int endpoints_open(struct endpoints *e, const struct process_terminal *t, bool stdin_open,
    const struct user *user, struct err *reterr)
{
	int r = t ? open_terminal(e, t, user) : open_pipes(e, stdin_open);
	if (r == 0)
		r = open_pipe(&e->status, &e->status_child);
	if (r == 0)
		r = fd_set_nonblock(e->status);
	return r < 0 ? err_set(reterr, r, "cannot make %s for a process: %s",
			   t ? "a terminal" : "pipes", err_name(r))
		     : 0;
}

void endpoints_close(struct endpoints *e)
{
	bool terminal = e->child[1] >= 0 && e->child[1] == e->child[0];
	e->in = fd_close(e->in);
	e->out = fd_close(e->out);
	e->err = fd_close(e->err);
	e->child[0] = fd_close(e->child[0]);
	e->child[1] = terminal ? -1 : fd_close(e->child[1]);
	e->child[2] = terminal ? -1 : fd_close(e->child[2]);
	e->status = fd_close(e->status);
	e->status_child = fd_close(e->status_child);
}
