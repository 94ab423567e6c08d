/* SPDX-License-Identifier: Apache-2.0 */
/* Versions, bodies of requests, answers, ends, pipes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "vmm/firecracker/body.h"
#include "vmm/firecracker/exit.h"
#include "vmm/firecracker/http.h"
#include "vmm/firecracker/tail.h"
#include "vmm/firecracker/version.h"
#include "vmm_tests.h"

/* ---- versions ---- */

START_TEST(test_version_parse)
{
	struct fc_version v;
	ck_assert_int_eq(
	    fc_version_parse("Firecracker", "Firecracker v1.16.1\n\n2026-01-01T00:00", &v), 0);
	ck_assert(v.major == 1 && v.minor == 16 && v.patch == 1);
	ck_assert_int_eq(fc_version_parse("Jailer", "Jailer v1.17.0-dev", &v), 0);
	ck_assert(v.minor == 17 && v.patch == 0);
	ck_assert_int_eq(fc_version_parse_plain("v10.0.0\n", &v), 0);
	ck_assert(v.major == 10);
	static const char *const bad[] = { "", "Firecracker", "Firecracker ", "Firecracker v",
		"Firecracker v1", "Firecracker v1.2", "Firecracker v1.2.", "Firecracker 1.2.3.4",
		"Firecracker v1.2.3x", "Firecracker v99999.1.1", "Firecracker v-1.2.3",
		"Firecrackerv1.2.3", "jailer v1.2.3" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(
		    fc_version_parse("Firecracker", bad[i], &v) == -EBADMSG, "%s", bad[i]);
}
END_TEST

START_TEST(test_version_caps)
{
	static const struct {
		struct fc_version v;
		bool works;
		unsigned caps;
	} cases[] = {
		{ { 1, 14, 9 }, false, 0 },
		{ { 1, 15, 0 }, false, 0 },
		{ { 1, 15, 1 }, true, FC_CAP_BARE_PAUSE },
		{ { 1, 16, 0 }, false, 0 },
		{ { 1, 16, 1 }, true, FC_CAP_SERIAL_LIMIT | FC_CAP_VSOCK_OVERRIDE | FC_CAP_MTU },
		{ { 1, 17, 0 }, true,
		    FC_CAP_SERIAL_LIMIT | FC_CAP_VSOCK_OVERRIDE | FC_CAP_MTU | FC_CAP_METRICS_ID |
			FC_CAP_BARE_PAUSE },
		{ { 2, 0, 0 }, false, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err err = ERR_INIT;
		int r = fc_version_check(&cases[i].v, &err);
		ck_assert_int_eq(r, cases[i].works ? 0 : -ENOTSUP);
		ck_assert_msg(r == 0 || strstr(err.text, "install 1.17"), "%s", err.text);
		if (r == 0)
			ck_assert_uint_eq(fc_version_caps(&cases[i].v), cases[i].caps);
	}
}
END_TEST

/* ---- bodies ---- */

static void check_body(struct buf *b, int r, const char *want)
{
	ck_assert_int_eq(r, 0);
	ck_assert_str_eq(buf_cstr(b), want);
	buf_reset(b);
}

START_TEST(test_bodies)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	check_body(&b, fc_body_logger(&b, "vm/log"),
	    "{\"log_path\":\"vm/log\",\"level\":\"Warning\",\"show_level\":true,"
	    "\"show_log_origin\":false}");
	check_body(&b, fc_body_metrics(&b, "m", "i1", 0), "{\"metrics_path\":\"m\"}");
	check_body(&b, fc_body_metrics(&b, "m", "i1", FC_CAP_METRICS_ID),
	    "{\"metrics_path\":\"m\",\"properties\":{\"sandbox\":\"i1\"}}");
	check_body(&b, fc_body_serial(&b, "c", 100, 0), "{\"serial_out_path\":\"c\"}");
	check_body(&b, fc_body_serial(&b, "c", 100, FC_CAP_SERIAL_LIMIT),
	    "{\"serial_out_path\":\"c\",\"rate_limiter\":{\"size\":100,\"one_time_burst\":1600,"
	    "\"refill_time\":1000}}");
	const struct fc_machine m = { 2, 512ull << 20 };
	check_body(&b, fc_body_machine(&b, &m),
	    "{\"vcpu_count\":2,\"mem_size_mib\":512,\"smt\":false,\"track_dirty_pages\":false,"
	    "\"huge_pages\":\"None\"}");
	check_body(&b, fc_body_boot(&b, "k", NULL, "a=\"b\""),
	    "{\"kernel_image_path\":\"k\",\"boot_args\":\"a=\\\"b\\\"\"}");
	check_body(&b, fc_body_boot(&b, "k", "i", ""),
	    "{\"kernel_image_path\":\"k\",\"boot_args\":\"\",\"initrd_path\":\"i\"}");
	check_body(&b, fc_body_vsock(&b, 3, "v"), "{\"guest_cid\":3,\"uds_path\":\"v\"}");
	check_body(&b, fc_body_action(&b, "InstanceStart"), "{\"action_type\":\"InstanceStart\"}");
	check_body(&b, fc_body_state(&b, "Paused"), "{\"state\":\"Paused\"}");
	check_body(&b, fc_body_create(&b, "s", "m"),
	    "{\"snapshot_type\":\"Full\",\"snapshot_path\":\"s\",\"mem_file_path\":\"m\"}");
}
END_TEST

START_TEST(test_bodies_of_devices)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct fc_drive d = { .id = "d", .path = "p", .read_only = true };
	check_body(&b, fc_body_drive(&b, &d),
	    "{\"drive_id\":\"d\",\"path_on_host\":\"p\",\"is_root_device\":false,"
	    "\"is_read_only\":true,\"cache_type\":\"Unsafe\",\"io_engine\":\"Sync\"}");
	d = (struct fc_drive){ .id = "d", .path = "p", .sync = true, .rate = { 10, 20 } };
	check_body(&b, fc_body_drive(&b, &d),
	    "{\"drive_id\":\"d\",\"path_on_host\":\"p\",\"is_root_device\":false,"
	    "\"is_read_only\":false,\"cache_type\":\"Writeback\",\"io_engine\":\"Sync\","
	    "\"rate_limiter\":{\"bandwidth\":{\"size\":10,\"refill_time\":1000},\"ops\":{\"size\":"
	    "20,\"refill_time\":1000}}}");
	const struct fc_net n = {
		.id = "e", .tap = "t", .mac = "m", .mtu = 1500, .rate = { 5, 0 }
	};
	check_body(&b, fc_body_net(&b, &n, 0),
	    "{\"iface_id\":\"e\",\"host_dev_name\":\"t\",\"guest_mac\":\"m\",\"rx_rate_limiter\":"
	    "{\"bandwidth\":{\"size\":5,\"refill_time\":1000}},\"tx_rate_limiter\":{\"bandwidth\":"
	    "{\"size\":5,\"refill_time\":1000}}}");
	ck_assert_int_eq(fc_body_net(&b, &n, FC_CAP_MTU), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&b), "\"mtu\":1500"));
	buf_reset(&b);
	const struct fc_rate none = { 0, 0 };
	check_body(&b, fc_body_entropy(&b, &none), "{}");
	check_body(&b, fc_body_balloon(&b),
	    "{\"amount_mib\":0,\"deflate_on_oom\":true,\"stats_polling_interval_s\":0,"
	    "\"free_page_reporting\":true}");
}
END_TEST

START_TEST(test_body_of_load)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct fc_load l = { .state = "s", .memory = "m" };
	check_body(&b, fc_body_load(&b, &l, ~0u),
	    "{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_type\":\"File\",\"backend_path\":"
	    "\"m\"},\"resume_vm\":false}");
	l = (struct fc_load){ "s", "m", "eth0", "tap7", "v", true };
	check_body(&b, fc_body_load(&b, &l, FC_CAP_VSOCK_OVERRIDE),
	    "{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_type\":\"File\",\"backend_path\":"
	    "\"m\"},\"resume_vm\":true,\"network_overrides\":[{\"iface_id\":\"eth0\","
	    "\"host_dev_name\":\"tap7\"}],\"vsock_override\":{\"uds_path\":\"v\"}}");
	ck_assert_int_eq(fc_body_load(&b, &l, 0), 0);
	ck_assert_ptr_null(strstr(buf_cstr(&b), "vsock_override"));
}
END_TEST

START_TEST(test_body_too_large)
{
	static char line[FC_BODY_MAX + 1];
	CLEAN_BUF struct buf b = BUF_INIT;
	memset(line, 'x', FC_CMDLINE_MAX + 1);
	ck_assert_int_eq(fc_body_boot(&b, "k", NULL, line), -E2BIG);
	line[FC_CMDLINE_MAX] = '\0';
	ck_assert_int_eq(fc_body_boot(&b, "k", NULL, line), 0);
	memset(line, 'x', FC_BODY_MAX);
	buf_reset(&b);
	ck_assert_int_eq(fc_body_logger(&b, line), -E2BIG);
	ck_assert_uint_eq(buf_len(&b), 0);
	for (int i = 0; i < 20; i++) {
		mem_fail_after(i);
		int r = fc_body_vsock(&b, 3, "v");
		mem_fail_after(-1);
		ck_assert(r == 0 || r == -ENOMEM);
		buf_fini(&b);
	}
}
END_TEST

/* ---- answers ---- */

static int feed(struct fc_http *h, const char *text, size_t n, size_t piece, struct err *err)
{
	for (size_t at = 0; at < n && !h->complete;) {
		size_t used, len = n - at < piece ? n - at : piece;
		int r = fc_http_feed(h, text + at, len, &used, err);
		if (r < 0)
			return r;
		ck_assert_uint_le(used, len);
		at += used;
		ck_assert(h->complete || used == len);
	}
	return 0;
}

START_TEST(test_answers)
{
	static const struct {
		const char *text;
		int status;
		const char *body;
	} cases[] = {
		{ "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n", 204,
		    "" },
		{ "HTTP/1.1 204 No Content\r\n\r\n", 204, "" },
		{ "HTTP/1.1 200 \r\ncontent-length:  2 \r\n\r\n{}", 200, "{}" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "" },
		{ "HTTP/1.1 400 \r\nContent-Length: 23\r\n\r\n{\"fault_message\":\"No.\"}", 400,
		    "{\"fault_message\":\"No.\"}" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t piece = 1; piece < 200; piece += 3) {
			struct fc_http h = { 0 };
			struct err err = ERR_INIT;
			ck_assert_msg(
			    feed(&h, cases[i].text, strlen(cases[i].text), piece, &err) == 0, "%s",
			    err.text);
			ck_assert(h.complete);
			ck_assert_int_eq(h.status, cases[i].status);
			ck_assert_str_eq(buf_cstr(&h.body), cases[i].body);
			fc_http_fini(&h);
		}
	}
}
END_TEST

START_TEST(test_bad_answers)
{
	static const char *const bad[] = { "x", "GET / HTTP/1.1\r\n\r\n", "HTTP/2 200\r\n\r\n",
		"HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 abc\r\n\r\n",
		"HTTP/1.1 100 \r\n\r\n", "HTTP/1.1 304 \r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: 262145\r\n\r\n",
		"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 204 \r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 200 \r\nno colon\r\n\r\n",
		"HTTP/1.1 200 \r\n: x\r\n\r\n" };
	static char endless[FC_HTTP_HEAD_MAX + 100] = "HTTP/1.1 200 \r\n";
	struct fc_http h = { 0 };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err err = ERR_INIT;
		ck_assert_msg(feed(&h, bad[i], strlen(bad[i]), 7, &err) == -EBADMSG, "%s", bad[i]);
		ck_assert_ptr_nonnull(strstr(err.text, "no answer"));
		fc_http_reset(&h);
	}
	memset(endless + 15, 'a', sizeof(endless) - 15);
	ck_assert_int_eq(feed(&h, endless, sizeof(endless), 1000, NULL), -EBADMSG);
	fc_http_reset(&h);
	ck_assert_int_eq(feed(&h, "HTTP/1.1 200 \r\na\0b: c\r\n\r\n", 26, 100, NULL), -EBADMSG);
	fc_http_fini(&h);
}
END_TEST

START_TEST(test_fault)
{
	char text[32];
	struct fc_http h = { .status = 400 };
	fc_http_fault(&h, text, sizeof(text));
	ck_assert_str_eq(text, "status 400 without a reason");
	ck_assert_int_eq(buf_append_str(&h.body, "{\"fault_message\":17}"), 0);
	fc_http_fault(&h, text, sizeof(text));
	ck_assert_str_eq(text, "status 400 without a reason");
	buf_reset(&h.body);
	ck_assert_int_eq(buf_append_str(&h.body,
			     "{\"fault_message\":\"This one is longer than there is room for.\"}"),
	    0);
	fc_http_fault(&h, text, sizeof(text));
	ck_assert_str_eq(text, "This one is longer than there i");
	fc_http_fini(&h);
}
END_TEST

/* ---- ends ---- */

START_TEST(test_exits)
{
	static const struct {
		int64_t status;
		const char *text;
		bool suspicious;
	} cases[] = {
		{ 0, "the guest shut down or rebooted (exit code 0)", false },
		{ 1 << 8, "Firecracker failed (exit code 1)", false },
		{ 148 << 8,
		    "Firecracker made a system call that its filter forbids (exit code 148)",
		    true },
		{ 150 << 8, "Firecracker had a bad memory access (SIGSEGV) (exit code 150)", true },
		{ 153 << 8, "Firecracker did not accept its command line (exit code 153)", false },
		{ 99 << 8, "Firecracker exited with code 99", false },
		{ SIGKILL,
		    "Firecracker was killed by signal 9 (Killed), by us or for want of memory",
		    false },
		{ SIGSYS, "Firecracker was killed by signal 31 (Bad system call)", true },
		{ -1, "Firecracker ended, nobody saw how", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[128];
		fc_exit_describe(cases[i].status, text, sizeof(text));
		ck_assert_str_eq(text, cases[i].text);
		ck_assert_int_eq(fc_exit_is_suspicious(cases[i].status), cases[i].suspicious);
	}
}
END_TEST

/* ---- pipes ---- */

START_TEST(test_tail)
{
	static char fill[32768];
	struct tmpdir dir;
	struct tail t;
	char path[128], text[64];
	tmpdir_make(&dir);
	(void)tmpdir_at(&dir, "pipe", path);
	struct loop *l = loop_new();
	ck_assert_int_eq(tail_open(&t, l, path), -ENOENT);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(tail_open(&t, l, path), 0);
	tail_last(&t, text, sizeof(text));
	ck_assert_str_eq(text, "");
	int fd = open(path, O_RDWR | O_NONBLOCK);
	ck_assert_int_eq(write(fd, "one\r\n\x1b[0m two \n\n", 16), 16);
	tail_drain(&t);
	tail_last(&t, text, sizeof(text));
	ck_assert_str_eq(text, "one [0m two");
	ck_assert(tail_find(&t, "n", text, sizeof(text)));
	ck_assert_str_eq(text, "ne");
	ck_assert(tail_find(&t, "two ", text, 3));
	ck_assert_str_eq(text, "tw");
	ck_assert(!tail_find(&t, "two \n\n\n", text, sizeof(text))); /* the end of it is missing */
	ck_assert_str_eq(text, "");
	/* More than is kept; the writer is never held up by it. */
	memset(fill, 'x', sizeof(fill));
	for (int i = 0; i < 5; i++) {
		ck_assert_int_gt(write(fd, fill, sizeof(fill)), 0);
		tail_drain(&t);
	}
	ck_assert_int_eq(write(fd, " end\n", 5), 5);
	tail_drain(&t);
	tail_last(&t, text, 8);
	ck_assert_str_eq(text, "xx end");
	ck_assert_uint_eq(t.filled, TAIL_BYTES);
	ck_assert(tail_find(&t, "x end", text, sizeof(text))); /* around the end of the ring */
	ck_assert_str_eq(text, "x end");
	(void)close(fd);
	(void)loop_turn(l, false);
	tail_close(&t);
	tail_close(&t);
	(void)loop_free(l);
	tmpdir_remove(&dir);
}
END_TEST

void add_fc_parts(Suite *s)
{
	TCase *tc = test_case(s, "parts", 10);
	tcase_add_test(tc, test_version_parse);
	tcase_add_test(tc, test_version_caps);
	tcase_add_test(tc, test_bodies);
	tcase_add_test(tc, test_bodies_of_devices);
	tcase_add_test(tc, test_body_of_load);
	tcase_add_test(tc, test_body_too_large);
	tcase_add_test(tc, test_answers);
	tcase_add_test(tc, test_bad_answers);
	tcase_add_test(tc, test_fault);
	tcase_add_test(tc, test_exits);
	tcase_add_test(tc, test_tail);
}
