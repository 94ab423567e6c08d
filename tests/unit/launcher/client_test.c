/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a launcher that the test plays itself on the other end of the socket. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/list.h"
#include "base/str.h"
#include "launcher/launcher.h"
#include "launcher_tests.h"
#include "lib/test.h"
#include "loop/loop.h"

struct seen {
	int answers, code, items, pid;
};

struct play {
	struct loop *loop;
	struct launcher *la;
	int sock; /* our end */
	int lost;
};

static void on_lost(void *arg)
{
	((struct play *)arg)->lost++;
}

static int new_pair(struct play *p)
{
	int sv[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	p->sock = sv[0];
	return sv[1];
}

static void open_play(struct play *p)
{
	*p = (struct play){ 0 };
	p->loop = loop_new();
	p->la = launcher_new(p->loop, new_pair(p), on_lost, p);
	ck_assert_ptr_nonnull(p->la);
}

static void close_play(struct play *p)
{
	(void)launcher_free(p->la);
	(void)fd_close(p->sock);
	(void)loop_free(p->loop);
}

static void turn(struct play *p)
{
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(loop_turn(p->loop, false), 0);
}

static void on_done(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct seen *s = arg;
	s->answers++;
	s->code = err->code;
	ck_assert_int_eq(err->code != 0, reply == NULL);
	if (reply)
		s->pid = reply->box.pid;
}

static void on_item(const char *id, void *arg)
{
	((struct seen *)arg)->items++;
}

static struct proto_request next_request(struct play *p)
{
	struct proto_request q = { 0 };
	struct err err = ERR_INIT;
	union proto_any any;
	turn(p);
	ssize_t n = recv(p->sock, &any, sizeof(any), MSG_DONTWAIT);
	ck_assert_int_eq(n, sizeof(q));
	ck_assert_msg(proto_check_request(&any, (size_t)n, &err) == 0, "%s", err.text);
	return any.request;
}

static bool no_request(struct play *p)
{
	char c;
	turn(p);
	return recv(p->sock, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void reply(struct play *p, const struct proto_request *q, int code, int pid)
{
	struct proto_reply m = { .head = { PROTO_REPLY, PROTO_VERSION, q->head.seq },
		.code = code };
	m.box.pid = pid;
	if (code)
		(void)str_copy(m.text, sizeof(m.text), "as played");
	ck_assert_int_eq(send(p->sock, &m, sizeof(m), 0), sizeof(m));
	turn(p);
}

static struct proto_create create_of(const char *id)
{
	struct proto_create c = { .base = "host",
		.memory_bytes = 1 << 28,
		.disk_bytes = 1 << 28,
		.cpu_milli = 1000,
		.max_pids = 64 };
	(void)str_copy(c.id, sizeof(c.id), id);
	return c;
}

START_TEST(answers_find_their_requests)
{
	struct play p;
	struct seen a = { 0 }, b = { 0 }, c = { 0 };
	open_play(&p);
	const struct proto_create want = create_of("ia");
	ck_assert_int_eq(launcher_create(p.la, &want, on_done, &a), 0);
	ck_assert_int_eq(launcher_usage(p.la, "ib", on_done, &b), 0);
	ck_assert_int_eq(launcher_list(p.la, on_item, on_done, &c), 0);
	struct proto_request qa = next_request(&p), qb = next_request(&p), qc = next_request(&p);
	ck_assert_uint_eq(qa.head.kind, PROTO_CREATE);
	struct proto_item item = { .head = { PROTO_ITEM, PROTO_VERSION, qc.head.seq }, .id = "ix" };
	ck_assert_int_eq(send(p.sock, &item, sizeof(item), 0), sizeof(item));
	reply(&p, &qc, 0, 0);
	reply(&p, &qb, -ENOENT, 0);
	ck_assert_int_eq(a.answers, 0);
	reply(&p, &qa, 0, 77);
	reply(&p, &qa, 0, 78); /* a second answer is nobody's */
	ck_assert_int_eq(a.answers, 1);
	ck_assert_int_eq(a.pid, 77);
	ck_assert_int_eq(b.code, -ENOENT);
	ck_assert_int_eq(c.items, 1);
	ck_assert_int_eq(c.answers, 1);
	ck_assert_int_eq(send(p.sock, "rubbish", 7, 0), 7); /* is survived */
	turn(&p);
	close_play(&p);
}
END_TEST

struct lines {
	struct seen seen;
	int lines, images;
	char text[64];
};

static void on_build_line(const struct proto_log *m, void *arg)
{
	struct lines *l = arg;
	l->lines++;
	(void)str_copy(l->text, sizeof(l->text), m->text);
}

static void on_image(const struct proto_image *m, void *arg)
{
	struct lines *l = arg;
	l->images++;
	(void)str_copy(l->text, sizeof(l->text), m->name);
}

static void on_over(const struct err *err, const struct proto_reply *reply, void *arg)
{
	on_done(err, reply, &((struct lines *)arg)->seen);
}

START_TEST(lines_find_their_build)
{
	struct play p;
	struct lines a = { .lines = 0 }, b = { .lines = 0 };
	open_play(&p);
	ck_assert_int_eq(launcher_build(p.la, "one", true, on_build_line, on_over, &a), 0);
	ck_assert_int_eq(launcher_images(p.la, on_image, on_over, &b), 0);
	struct proto_request qa = next_request(&p), qb = next_request(&p);
	ck_assert_uint_eq(qa.head.kind, PROTO_BUILD);
	ck_assert_str_eq(qa.build.name, "one");
	ck_assert_uint_eq(qa.build.force, 1);
	struct proto_log line = { .head = { PROTO_LOG, PROTO_VERSION, qa.head.seq },
		.text = "said" };
	ck_assert_int_eq(send(p.sock, &line, sizeof(line), 0), sizeof(line));
	line.head.seq = qb.head.seq; /* that one has no lines */
	ck_assert_int_eq(send(p.sock, &line, sizeof(line), 0), sizeof(line));
	struct proto_image image = { .head = { PROTO_IMAGE, PROTO_VERSION, qb.head.seq },
		.name = "two" };
	ck_assert_int_eq(send(p.sock, &image, sizeof(image), 0), sizeof(image));
	reply(&p, &qb, 0, 0);
	ck_assert_int_eq(b.images, 1);
	ck_assert_int_eq(b.lines, 0);
	ck_assert_str_eq(b.text, "two");
	ck_assert_int_eq(b.seen.answers, 1);
	ck_assert_int_eq(a.lines, 1);
	ck_assert_str_eq(a.text, "said");
	ck_assert_int_eq(a.seen.answers, 0);
	/* A new launcher is asked to build again; the cancel goes there, too. */
	(void)fd_close(p.sock);
	turn(&p);
	ck_assert_int_eq(p.lost, 1);
	ck_assert_int_eq(launcher_build_cancel(p.la, "one", NULL, NULL), 0);
	ck_assert_int_eq(launcher_connect(p.la, new_pair(&p)), 0);
	struct proto_request again[2] = { next_request(&p), next_request(&p) };
	int build = again[0].head.kind == PROTO_BUILD ? 0 : 1;
	ck_assert_uint_eq(again[build].head.kind, PROTO_BUILD);
	ck_assert_uint_eq(again[1 - build].head.kind, PROTO_BUILD_CANCEL);
	ck_assert_str_eq(again[1 - build].build.name, "one");
	reply(&p, &again[build], -ECANCELED, 0);
	ck_assert_int_eq(a.seen.code, -ECANCELED);
	close_play(&p);
}
END_TEST

START_TEST(a_lost_create_is_destroyed_and_fails)
{
	struct play p;
	struct seen a = { 0 }, d = { 0 };
	open_play(&p);
	const struct proto_create want = create_of("ia");
	ck_assert_int_eq(launcher_create(p.la, &want, on_done, &a), 0);
	ck_assert_int_eq(launcher_destroy(p.la, "id", on_done, &d), 0);
	(void)next_request(&p);
	(void)next_request(&p);
	(void)fd_close(p.sock);
	turn(&p);
	ck_assert_int_eq(p.lost, 1);
	ck_assert_int_eq(a.answers + d.answers, 0);
	ck_assert_int_eq(launcher_connect(p.la, new_pair(&p)), 0);
	struct proto_request q1 = next_request(&p), q2 = next_request(&p);
	ck_assert_uint_eq(q1.head.kind, PROTO_DESTROY);
	ck_assert_str_eq(q1.box.id, "ia");
	ck_assert_uint_eq(q2.head.kind, PROTO_DESTROY);
	ck_assert_str_eq(q2.box.id, "id");
	reply(&p, &q1, 0, 0);
	reply(&p, &q2, 0, 0);
	ck_assert_int_eq(a.code, -ECONNRESET);
	ck_assert_int_eq(d.code, 0);
	ck_assert_int_eq(a.answers + d.answers, 2);
	ck_assert(no_request(&p));
	close_play(&p);
}
END_TEST

START_TEST(requests_wait_for_a_launcher)
{
	struct play p;
	struct seen a = { 0 };
	open_play(&p);
	(void)fd_close(p.sock);
	turn(&p);
	const struct proto_create want = create_of("ia");
	ck_assert_int_eq(launcher_create(p.la, &want, on_done, &a), 0);
	turn(&p);
	ck_assert_int_eq(a.answers, 0);
	ck_assert_int_eq(launcher_connect(p.la, new_pair(&p)), 0);
	struct proto_request q = next_request(&p);
	ck_assert_uint_eq(q.head.kind, PROTO_CREATE); /* never sent before: still a create */
	reply(&p, &q, 0, 5);
	ck_assert_int_eq(a.pid, 5);
	close_play(&p);
}
END_TEST

struct watcher {
	struct launcher_watch w;
	int events;
	struct proto_event last;
};

static void on_event(struct launcher_watch *w, const struct proto_event *e)
{
	struct watcher *x = container_of(w, struct watcher, w);
	x->events++;
	x->last = *e;
}

START_TEST(watched_ones_are_adopted_again)
{
	struct play p;
	struct watcher live = { .w = { .id = "ilive", .cb = on_event } };
	struct watcher dead = { .w = { .id = "idead", .cb = on_event } };
	open_play(&p);
	ck_assert_int_eq(launcher_watch_add(p.la, &live.w), 0);
	ck_assert_int_eq(launcher_watch_add(p.la, &dead.w), 0);
	ck_assert_int_eq(launcher_watch_add(p.la, &dead.w), -EEXIST);
	struct proto_event e = { .head = { PROTO_EVENT, PROTO_VERSION, 0 },
		.id = "ilive",
		.event = PROTO_OOM,
		.value = 3 };
	ck_assert_int_eq(send(p.sock, &e, sizeof(e), 0), sizeof(e));
	(void)str_copy(e.id, sizeof(e.id), "istranger");
	ck_assert_int_eq(send(p.sock, &e, sizeof(e), 0), sizeof(e));
	turn(&p);
	ck_assert_int_eq(live.events, 1);
	ck_assert_int_eq(live.last.value, 3);
	(void)fd_close(p.sock);
	turn(&p);
	ck_assert_int_eq(launcher_connect(p.la, new_pair(&p)), 0);
	for (int i = 0; i < 2; i++) {
		struct proto_request q = next_request(&p);
		ck_assert_uint_eq(q.head.kind, PROTO_ADOPT);
		reply(&p, &q, str_eq(q.box.id, "idead") ? -ENOENT : 0, 0);
	}
	ck_assert_int_eq(live.events, 1);
	ck_assert_int_eq(dead.events, 1);
	ck_assert_uint_eq(dead.last.event, PROTO_EXITED);
	ck_assert_int_eq(dead.last.value, -1);
	launcher_watch_remove(p.la, &dead.w);
	launcher_watch_remove(p.la, &live.w);
	close_play(&p);
}
END_TEST

START_TEST(many_requests_are_queued)
{
	enum { N = 2000 };
	struct play p;
	struct seen a = { 0 };
	open_play(&p);
	for (int i = 0; i < N; i++)
		ck_assert_int_eq(launcher_usage(p.la, "ia", on_done, &a), 0);
	for (int i = 0; i < N; i++) { /* more than the socket holds; none is lost */
		struct proto_request q = next_request(&p);
		reply(&p, &q, 0, 0);
	}
	ck_assert_int_eq(a.answers, N);
	ck_assert(no_request(&p));
	ck_assert_int_eq(launcher_usage(p.la, "ia", on_done, &a), 0);
	close_play(&p); /* with one open */
	ck_assert_int_eq(a.answers, N);
}
END_TEST

void add_client_tests(Suite *s)
{
	TCase *tc = test_case(s, "client", 20);
	tcase_add_test(tc, answers_find_their_requests);
	tcase_add_test(tc, lines_find_their_build);
	tcase_add_test(tc, a_lost_create_is_destroyed_and_fails);
	tcase_add_test(tc, requests_wait_for_a_launcher);
	tcase_add_test(tc, watched_ones_are_adopted_again);
	tcase_add_test(tc, many_requests_are_queued);
}
