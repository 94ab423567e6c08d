/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the agent in system tests: process 1 of a sandbox, static, no libraries of ours.
 * The control socket answers "ok". A client of the data socket sends one line "UID command", gets
 * what the shell prints and a last line "status N". "exit" as command ends the sandbox. Orphans are
 * reaped.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTROL 3
#define DATA 4

static void read_line(int fd, char *dst, size_t cap)
{
	size_t n = 0;
	while (n + 1 < cap && read(fd, dst + n, 1) == 1 && dst[n] != '\n')
		n++;
	dst[n] = '\0';
}

static void run_shell(int fd, unsigned id, const char *command)
{
	if (dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
	if (id != 0 && (setgid(id) < 0 || setuid(id) < 0)) {
		perror("setuid");
		_exit(126);
	}
	(void)signal(SIGPIPE, SIG_DFL);
	(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	perror("sh");
	_exit(127);
}

static void serve(int fd)
{
	static char line[1 << 16];
	char *command;
	int status;
	read_line(fd, line, sizeof(line));
	unsigned id = (unsigned)strtoul(line, &command, 10);
	if (*command == ' ')
		command++;
	if (strcmp(command, "exit") == 0) {
		(void)fprintf(stderr, "leaving as told\n");
		(void)kill(1, SIGUSR1);
		_exit(0);
	}
	pid_t pid = fork();
	if (pid < 0) {
		dprintf(fd, "fork: %s\nstatus 125\n", strerror(errno));
		_exit(0);
	}
	if (pid == 0)
		run_shell(fd, id, command);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	dprintf(
	    fd, "status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	_exit(0);
}

static void on_leave(int signo)
{
	_exit(7);
}

static void on_connection(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (listener == CONTROL) {
		(void)!write(fd, "ok\n", 3);
	} else if (fork() == 0) {
		(void)close(CONTROL);
		(void)close(DATA);
		serve(fd);
	}
	(void)close(fd);
}

int main(void)
{
	(void)signal(SIGUSR1, on_leave);
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		struct pollfd p[] = { { CONTROL, POLLIN, 0 }, { DATA, POLLIN, 0 } };
		(void)poll(p, 2, 100);
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				on_connection(p[i].fd);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
