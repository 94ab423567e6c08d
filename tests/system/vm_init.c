/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the agent in tests of VM drivers: /init of an initramfs, static, no libraries of
 * ours. Loads the modules, mounts the disk on /disk, then answers one line with one line on the
 * port sandglass.control:
 *
 *   echo TEXT      TEXT
 *   dirty N        fills N MiB of memory with a pattern
 *   sum            of that memory
 *   random         16 bytes of the kernel's generator
 *   write TEXT     to a file on the disk; read: what is in it
 *   fill           the disk with data until it is full
 *   tcp ADDR PORT  connects: "0" or an errno
 *   udp ADDR PORT  sends, and waits for an answer: "0" or an errno
 *   panic, off, reboot
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PORT "sandglass.control"
#define LINE_MAX_LEN 4096

static unsigned char *memory;
static size_t memory_len;

static void say(const char *what)
{
	(void)fprintf(stderr, "vm_init: %s: %s\n", what, strerror(errno));
}

static void load_modules(void)
{
	char line[128], path[160];
	FILE *f = fopen("/modules/order", "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		(void)snprintf(path, sizeof(path), "/modules/%s", line + (line[0] == '-'));
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			if (line[0] != '-')
				say(path);
		(void)close(fd);
	}
}

static void mount_disk(void)
{
	(void)mkdir("/disk", 0755);
	for (int i = 0; i < 500 && access("/dev/vdb", F_OK) < 0; i++)
		(void)usleep(2000);
	if (mount("/dev/vdb", "/disk", "ext4", 0, "") < 0)
		say("mount /dev/vdb");
}

static void set_address(int s, unsigned long what, const char *address)
{
	struct ifreq req = { .ifr_name = "eth0" };
	struct sockaddr_in *sa = (void *)&req.ifr_addr;
	sa->sin_family = AF_INET;
	(void)inet_pton(AF_INET, address, &sa->sin_addr);
	if (ioctl(s, what, &req) < 0)
		say("eth0");
}

static void set_up_network(void)
{
	struct ifreq up = { .ifr_name = "eth0", .ifr_flags = IFF_UP | IFF_RUNNING };
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	struct sockaddr_in *to = (void *)&route.rt_gateway;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	set_address(s, SIOCSIFADDR, "169.254.0.21");
	set_address(s, SIOCSIFNETMASK, "255.255.255.252");
	(void)ioctl(s, SIOCSIFFLAGS, &up);
	to->sin_family = AF_INET;
	(void)inet_pton(AF_INET, "169.254.0.22", &to->sin_addr);
	route.rt_dst.sa_family = route.rt_genmask.sa_family = AF_INET;
	if (ioctl(s, SIOCADDRT, &route) < 0)
		say("route");
	(void)close(s);
}

static int open_port(void)
{
	for (int i = 0; i < 1000; i++) {
		char path[300], name[64] = "";
		DIR *d = opendir("/sys/class/virtio-ports");
		for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
			(void)snprintf(
			    path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
			FILE *f = fopen(path, "re");
			bool found = f && fgets(name, sizeof(name), f) &&
				     strncmp(name, PORT, strlen(PORT)) == 0;
			if (f)
				(void)fclose(f);
			if (!found)
				continue;
			(void)snprintf(path, sizeof(path), "/dev/%s", e->d_name);
			(void)closedir(d);
			return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		}
		if (d)
			(void)closedir(d);
		(void)usleep(5000);
	}
	return -1;
}

/* ---- commands ---- */

static void dirty(size_t mib, char *out)
{
	free(memory);
	memory_len = mib << 20;
	memory = malloc(memory_len);
	for (size_t i = 0; memory && i < memory_len; i += 8)
		*(unsigned long long *)(void *)(memory + i) = i * 2654435761u + mib;
	(void)strcpy(out, memory ? "ok" : "no memory");
}

static void sum(char *out)
{
	unsigned long long total = 0;
	for (size_t i = 0; i < memory_len; i += 8)
		total = total * 31 + *(unsigned long long *)(void *)(memory + i);
	(void)snprintf(out, LINE_MAX_LEN, "%llx", total);
}

static void random_hex(char *out)
{
	unsigned char b[16];
	(void)!getrandom(b, sizeof(b), 0);
	for (size_t i = 0; i < sizeof(b); i++)
		(void)snprintf(out + 2 * i, 3, "%02x", b[i]);
}

static void write_disk(const char *text, char *out)
{
	int fd = open("/disk/file", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) >= 0 && fsync(fd) == 0;
	(void)close(fd);
	(void)strcpy(out, ok ? "ok" : strerror(errno));
}

static void read_disk(char *out)
{
	int fd = open("/disk/file", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, out, LINE_MAX_LEN - 1);
	out[n < 0 ? 0 : n] = '\0';
	(void)close(fd);
}

static void fill_disk(char *out)
{
	static char block[1 << 16];
	memset(block, 'x', sizeof(block));
	int fd = open("/disk/fill", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	unsigned long long total = 0;
	for (ssize_t n; (n = write(fd, block, sizeof(block))) > 0;)
		total += (unsigned long long)n;
	int e = errno;
	(void)fsync(fd);
	(void)close(fd);
	(void)snprintf(out, LINE_MAX_LEN, "%llu %d", total, e);
}

static void reach(int type, const char *args, char *out)
{
	char host[64], byte = 'b';
	unsigned port = 0;
	struct timeval limit = { 5, 0 };
	struct sockaddr_in sa = { .sin_family = AF_INET };
	(void)sscanf(args, "%63s %u", host, &port);
	(void)inet_pton(AF_INET, host, &sa.sin_addr);
	sa.sin_port = htons((unsigned short)port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	int r = connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? errno : 0;
	if (type == SOCK_DGRAM && r == 0)
		r = send(fd, &byte, 1, 0) < 0 || recv(fd, &byte, 1, 0) < 0 ? errno : 0;
	(void)close(fd);
	(void)snprintf(out, LINE_MAX_LEN, "%d", r);
}

static void crash(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
	(void)!write(fd, "c", 1);
}

/* Of the disk, in sectors. */
static void disk_size(char *out)
{
	int fd = open("/sys/class/block/vdb/size", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, out, LINE_MAX_LEN - 1);
	out[n > 0 ? n - 1 : 0] = '\0';
	(void)close(fd);
}

static void run(char *line, char *out)
{
	char *args = line + strcspn(line, " ");
	if (*args)
		*args++ = '\0';
	if (strcmp(line, "echo") == 0)
		(void)snprintf(out, LINE_MAX_LEN, "%s", args);
	else if (strcmp(line, "dirty") == 0)
		dirty(strtoul(args, NULL, 10), out);
	else if (strcmp(line, "sum") == 0)
		sum(out);
	else if (strcmp(line, "random") == 0)
		random_hex(out);
	else if (strcmp(line, "write") == 0)
		write_disk(args, out);
	else if (strcmp(line, "read") == 0)
		read_disk(out);
	else if (strcmp(line, "size") == 0)
		disk_size(out);
	else if (strcmp(line, "fill") == 0)
		fill_disk(out);
	else if (strcmp(line, "tcp") == 0)
		reach(SOCK_STREAM, args, out);
	else if (strcmp(line, "udp") == 0)
		reach(SOCK_DGRAM, args, out);
	else if (strcmp(line, "panic") == 0)
		crash();
	else if (strcmp(line, "off") == 0)
		(void)reboot(RB_POWER_OFF);
	else if (strcmp(line, "reboot") == 0)
		(void)reboot(RB_AUTOBOOT);
	else
		(void)strcpy(out, "what?");
}

/* ---- the port ---- */

static void on_io(int signo)
{
	(void)signo;
}

static void serve(int port)
{
	static char line[LINE_MAX_LEN], out[LINE_MAX_LEN + 1];
	size_t n = 0;
	for (;;) {
		struct pollfd p = { port, POLLIN, 0 };
		(void)poll(&p, 1, 0);
		/* Hung up: poll() would return at once for ever. SIGIO tells of the next client. */
		if (p.revents & POLLHUP || !(p.revents & POLLIN)) {
			struct timespec t = { 0, 50000000 };
			n = p.revents & POLLHUP ? 0 : n;
			(void)nanosleep(&t, NULL);
			continue;
		}
		if (n == sizeof(line) - 1)
			n = 0;
		if (read(port, line + n, 1) != 1 || line[n++] != '\n')
			continue;
		line[n - 1] = '\0';
		n = 0;
		out[0] = '\0';
		run(line, out);
		(void)strcat(out, "\n");
		(void)!write(port, out, strlen(out));
	}
}

int main(void)
{
	(void)mkdir("/proc", 0755);
	(void)mkdir("/sys", 0755);
	(void)mkdir("/dev", 0755);
	(void)mount("proc", "/proc", "proc", 0, NULL);
	(void)mount("sysfs", "/sys", "sysfs", 0, NULL);
	(void)mount("dev", "/dev", "devtmpfs", 0, NULL);
	load_modules();
	mount_disk();
	set_up_network();
	int port = open_port();
	if (port < 0) {
		say("no port");
		return 1;
	}
	(void)signal(SIGIO, on_io);
	(void)fcntl(port, F_SETOWN, getpid());
	(void)fcntl(port, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC);
	serve(port);
}
