/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A program that behaves as Firecracker does where its users can see it: command line, exit codes,
 * API socket (one request at a time, strict bodies, the literal faults), states, snapshot files,
 * vsock sockets, the loop that is frozen after a pause. There is no virtual machine: the guest is
 * a child process, made from the program "init" of the initrd (a cpio archive, as for Linux), which
 * finds two listening sockets as descriptors 3 and 4 (vsock ports 49001 and 49002); without an
 * initrd a child answers every connection with what it is sent.
 *
 * Since the jailer clears the environment and changes the root, the script of what shall go wrong
 * is part of the program file: lines behind the mark FAKE_SCRIPT_MARK.
 *
 *   version 1.16.1             what it says and behaves as; default 1.17.0
 *   snapshot-version 10.0.0
 *   no-tap                     network interfaces are taken on faith
 *   start-exit CODE            dies before there is a socket
 *   start-delay MS             the socket comes late
 *   guest none|silent          nobody listens in the guest; it never answers a connection
 *   guest-delay MS             the guest listens so long after a start
 *   guest-exit MS              it reboots so long after a start
 *   console TEXT               a line printed on the serial line at a start; may come again
 *   fault METHOD PATH[=WORD] KIND [ARG]   to requests whose body contains WORD:
 *        refuse TEXT   400 with that fault            exit CODE   dies at once
 *        hang          never answers                  kill        dies by SIGKILL
 *        delay MS      answers late                   close       hangs up without an answer
 *        after CODE    does it, answers, then dies    garbage     answers what is not HTTP
 *        endless       answers without an end         dead-loop   400, and frozen as after a pause
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FAKE_SCRIPT_MARK "\n#fake-firecracker-script\n"
#define FAKE_FAULTS_MAX 16
#define FAKE_API_CONNS 10
#define FAKE_VSOCK_CONNS 64
#define FAKE_BODY_MAX 51200u
#define FAKE_HEAD_MAX 8192u

#define EXIT_CODE_CONFIG 152
#define EXIT_CODE_ARGS 153

enum fake_state { FAKE_NOT_STARTED, FAKE_RUNNING, FAKE_PAUSED };

struct fake_fault {
	char method[8], path[64], word[32], kind[16], arg[160];
};

struct fake_script {
	char version[24], snapshot_version[24];
	unsigned v; /* major * 10000 + minor * 100 + patch */
	bool no_tap, guest_none, guest_silent;
	int start_exit; /* -1 = no */
	unsigned start_delay, guest_delay, guest_exit;
	char console[512];
	struct fake_fault faults[FAKE_FAULTS_MAX];
	size_t n_faults;
};

struct fake_args {
	const char *api_sock, *id, *config_file;
	bool no_api, pci;
	size_t body_max;
};

struct fake_api_conn {
	int fd;
	char *in;
	size_t n;
};

enum fake_vsock_state { VSOCK_NEW, VSOCK_WAITING, VSOCK_OPEN };
struct fake_vsock_conn {
	int fd, guest;
	enum fake_vsock_state state;
	unsigned port;
	uint64_t since;
	bool old; /* from before a snapshot: reset when the guest goes on */
};

struct fake {
	struct fake_script script;
	struct fake_args args;
	enum fake_state state;
	bool frozen;	/* after a pause was asked for: only the API is served */
	bool boot_path; /* something was configured: no load any more */
	bool vsock_dead, snapped, by_load;
	bool verbose;	/* log level Info or below */
	int exit_after; /* -1 = go on; else exit code after the answer */
	int log_fd, metrics_fd, serial_fd;
	uint64_t guest_since;
	json_t *config; /* resource name -> what was given */
	int listener;
	struct fake_api_conn conns[FAKE_API_CONNS];
	/* vsock */
	int vsock_fd;
	struct fake_vsock_conn vsock[FAKE_VSOCK_CONNS];
	uint32_t next_port;
	/* guest */
	pid_t guest;
	char guest_name[2][32]; /* abstract sockets of control and data */
	unsigned char *program; /* of the guest; NULL = echo */
	size_t program_len;
	int taps[8];
	size_t n_taps;
};

/* main.c */
uint64_t fake_now_ms(void);
void fake_log(struct fake *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fake_exit(struct fake *f, int code) __attribute__((noreturn));

/* script.c: from the program file. */
void fake_script_load(struct fake_script *s, const char *program);
void fake_script_parse(struct fake_script *s, char *text);

/* http.c */
void fake_api_accept(struct fake *f);
void fake_api_read(struct fake *f, struct fake_api_conn *c);
void fake_api_close(struct fake_api_conn *c);

/* api.c: a status and, unless 204, a body that the caller decrefs. */
struct fake_answer {
	int status;
	json_t *body;
	bool deprecated;
};
struct fake_answer fake_api_handle(
    struct fake *f, const char *method, const char *path, const char *body, size_t n);
struct fake_answer fake_refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
struct fake_answer fake_done(void);

/* resources.c: bodies that were checked; what happens with them. */
struct fake_answer fake_put_boot_source(struct fake *f, json_t *o);
struct fake_answer fake_put_drive(struct fake *f, const char *id, json_t *o);
struct fake_answer fake_patch_drive(json_t *drive, json_t *o);
struct fake_answer fake_put_net(struct fake *f, const char *id, json_t *o);
struct fake_answer fake_put_machine(struct fake *f, json_t *o);
int fake_open_tap(struct fake *f, const char *name);
struct fake_answer fake_put_output(struct fake *f, const char *what, json_t *o);

/* schema.c: NULL, or what serde says. */
struct fake_schema;
char *fake_check_body(const struct fake *f, const char *schema, json_t *o);

/* snapshot.c */
struct fake_answer fake_snapshot_create(struct fake *f, json_t *o);
/* *ret_fatal: the process ends after the answer. */
struct fake_answer fake_snapshot_load(struct fake *f, json_t *o, bool *ret_fatal);

/* vsock.c */
int fake_vsock_bind(struct fake *f, const char *path);
void fake_vsock_accept(struct fake *f);
void fake_vsock_pump(struct fake *f, struct fake_vsock_conn *c, short host, short guest);
void fake_vsock_tick(struct fake *f); /* limits, connections that wait for the guest */
void fake_vsock_reset(struct fake *f);
void fake_vsock_mark(struct fake *f);

/* guest.c */
int fake_guest_read_initrd(struct fake *f, const char *path);
int fake_guest_start(struct fake *f);
void fake_guest_freeze(struct fake *f, bool on);
void fake_guest_kill(struct fake *f);
/* Connected descriptor, or -1: nobody listens there. */
int fake_guest_connect(struct fake *f, unsigned port);
