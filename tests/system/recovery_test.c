/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 of the launcher at any moment: live sandboxes go on and are found again, the rest
 * vanishes. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/test.h"
#include "rig.h"
#include "system_tests.h"

START_TEST(sandboxes_outlive_the_launcher)
{
	struct rig r;
	struct rig_box a, b;
	char out[RIG_OUT];
	rig_open(&r, false);
	ck_assert_int_eq(rig_create(&r, &a, "ia", NULL), 0);
	ck_assert_int_eq(rig_create(&r, &b, "ib", NULL), 0);
	(void)rig_out(&r, &a, "echo kept > /tmp/mark");
	rig_stop_launcher(&r, SIGKILL);
	ck_assert_str_eq(rig_out(&r, &a, "cat /tmp/mark"), "kept\n"); /* also while there is none */
	(void)rig_run(&r, &b, 0, "exit", out, sizeof(out), 5);	      /* dies unseen */
	rig_pause(&r, 100);
	rig_start_launcher(&r);
	ck_assert_int_eq(rig_adopt(&r, "ia"), 0);
	ck_assert(rig_wait(&r, &b.exits, 3000)); /* told by itself */
	ck_assert_int_eq(b.exit_status, -1);
	ck_assert_int_eq(a.exits, 0);
	ck_assert_int_eq(rig_adopt(&r, "ib"), -ENOENT);
	ck_assert_str_eq(rig_out(&r, &a, "cat /tmp/mark"), "kept\n");
	/* events work again */
	(void)rig_run(&r, &a, 0, "python3 -c 'b=bytearray(400<<20)'", out, sizeof(out), 20);
	ck_assert(rig_wait(&r, &a.ooms, 3000));
	(void)rig_run(&r, &a, 0, "exit", out, sizeof(out), 5);
	ck_assert(rig_wait(&r, &a.exits, 3000));
	ck_assert_int_eq(rig_destroy(&r, &a), 0);
	ck_assert_int_eq(rig_destroy(&r, &b), 0);
	rig_close(&r);
}
END_TEST

START_TEST(records_of_strangers_are_rubbish)
{
	struct rig r;
	struct rig_box a;
	char path[160], command[512];
	rig_open(&r, false);
	ck_assert_int_eq(rig_create(&r, &a, "ia", NULL), 0);
	rig_stop_launcher(&r, SIGKILL);
	/* a record that names a living process which is not that sandbox, one that is no record, an
	 * empty directory, sockets and a group of nobody */
	(void)snprintf(path, sizeof(path), "%s/state/launcher/boxes", r.dir);
	(void)snprintf(command, sizeof(command),
	    "cd %s && mkdir ix iy iz && sed 's/^id .*/id ix/; s/^pid .*/pid %d/; s/^slot .*/slot "
	    "9/' "
	    "ia/record > ix/record && echo nonsense > iy/record && mkdir %s/run/agents/iw && "
	    "mkdir /sys/fs/cgroup/memory/%s/iv 2>/dev/null; true",
	    path, getpid(), r.dir, r.group);
	pid_t pid = fork();
	if (pid == 0) {
		(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	rig_start_launcher(&r);
	ck_assert_int_eq(rig_adopt(&r, "ia"), 0);
	ck_assert_int_eq(rig_adopt(&r, "ix"), -ENOENT);
	rig_pause(&r, 200);
	ck_assert_uint_eq(rig_count(&r), 1);
	ck_assert_int_eq(rig_destroy(&r, &a), 0);
	rig_close(&r);
}
END_TEST

static void on_ignored(const struct err *err, const struct proto_reply *reply, void *arg)
{
	int *n = arg;
	++*n;
}

/* Kill it in the middle of creates and destroys, at moments that differ from round to round. */
START_TEST(kills_at_any_moment_leak_nothing)
{
	enum { ROUNDS = 25, BOXES = 4 };
	struct rig r;
	rig_open(&r, false);
	for (unsigned round = 0; round < ROUNDS; round++) {
		int answers = 0;
		struct rig_box b[BOXES];
		char id[ID_SANDBOX_LEN + 1];
		for (int i = 0; i < BOXES; i++) {
			struct proto_create c;
			(void)snprintf(id, sizeof(id), "ik%dr%u", i, round);
			rig_create_default(&c, id);
			ck_assert_int_eq(launcher_create(r.la, &c, on_ignored, &answers), 0);
		}
		rig_pause(&r, round);
		rig_stop_launcher(&r, SIGKILL);
		rig_start_launcher(&r);
		for (unsigned ms = 0; answers < BOXES && ms < 20000; ms += 5)
			rig_pause(&r, 5);
		ck_assert_int_eq(answers, BOXES);
		for (int i = 0; i < BOXES; i++) {
			b[i] = (struct rig_box){ 0 };
			(void)snprintf(b[i].watch.id, sizeof(b[i].watch.id), "ik%dr%u", i, round);
			ck_assert_int_eq(rig_destroy(&r, &b[i]), 0);
		}
		struct rig_ledger l;
		rig_take_ledger(&r, &l);
		ck_assert_msg(
		    l.mounts + l.loops + l.cgroups + l.files + l.sockets + l.processes == 0,
		    "round %u: %u mounts %u loops %u groups %u files %u sockets %u processes",
		    round, l.mounts, l.loops, l.cgroups, l.files, l.sockets, l.processes);
	}
	rig_close(&r);
}
END_TEST

void add_recovery_tests(Suite *s)
{
	TCase *tc = test_case(s, "recovery", 180);
	tcase_add_test(tc, sandboxes_outlive_the_launcher);
	tcase_add_test(tc, records_of_strangers_are_rubbish);
	tcase_add_test(tc, kills_at_any_moment_leak_nothing);
}
