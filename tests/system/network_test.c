/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes with a network: address, route and resolver are there, root inside can change none of
 * it, and the slot outlives the launcher. What leaves the machine is the business of
 * tests/unit/hostnet. */
#include <signal.h>
#include <string.h>

#include "lib/test.h"
#include "rig.h"
#include "system_tests.h"

START_TEST(a_slot_is_used_and_returned)
{
	struct rig r;
	struct rig_box b;
	struct proto_create c;
	struct err err = ERR_INIT;
	char out[RIG_OUT];
	rig_open_network(&r);
	rig_create_default(&c, "inet");
	c.internet = 1;
	ck_assert_msg(rig_create_as(&r, &b, &c, &err) == 0, "%s", err_text(&err));
	ck_assert_ptr_nonnull(strstr(rig_out(&r, &b, "cat /proc/net/dev"), "eth0"));
	ck_assert_ptr_nonnull(strstr(rig_out(&r, &b, "cat /proc/net/route"), "eth0\t00000000"));
	ck_assert_ptr_nonnull(strstr(rig_out(&r, &b, "cat /etc/resolv.conf"), "nameserver"));
	ck_assert_int_ne(rig_run(&r, &b, 0, "ip link set eth0 down", out, sizeof(out), 10), 0);
	ck_assert_int_ne(
	    rig_run(&r, &b, 0, "ip addr add 10.1.1.1/24 dev eth0", out, sizeof(out), 10), 0);
	ck_assert_int_ne(
	    rig_run(&r, &b, 0, "ip route add 10.2.0.0/16 dev eth0", out, sizeof(out), 10), 0);
	ck_assert_int_ne(rig_run(&r, &b, 0, "nft list ruleset", out, sizeof(out), 10), 0);
	rig_stop_launcher(&r, SIGKILL);
	rig_start_launcher(&r);
	ck_assert_int_eq(rig_adopt(&r, "inet"), 0);
	ck_assert_ptr_nonnull(strstr(rig_out(&r, &b, "cat /proc/net/dev"), "eth0"));
	ck_assert_int_eq(rig_destroy(&r, &b), 0);
	rig_close(&r);
}
END_TEST

void add_network_tests(Suite *s)
{
	TCase *tc = test_case(s, "network", 60);
	tcase_add_test(tc, a_slot_is_used_and_returned);
}
