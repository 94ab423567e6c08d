/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

#define CMDLINE_MAX 2048u
#define VCPUS_MAX 32

static const char *text(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* Opened as Firecracker does it: at once. 0 or -errno. */
static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

struct fake_answer fake_put_boot_source(struct fake *f, json_t *o)
{
	const char *initrd = text(o, "initrd_path"), *args = text(o, "boot_args");
	int r = try_open(text(o, "kernel_image_path"), O_RDONLY);
	if (r < 0)
		return fake_refuse("Boot source error: The kernel file cannot be opened: %s (os "
				   "error %d)",
		    strerror(-r), -r);
	r = initrd ? fake_guest_read_initrd(f, initrd) : 0;
	if (r < 0)
		return fake_refuse("Boot source error: The initrd file cannot be opened due to "
				   "invalid path or invalid permissions: %s (os error %d)",
		    strerror(-r), -r);
	if (args && strlen(args) > CMDLINE_MAX)
		return fake_refuse("Boot source error: The kernel command line is invalid: the "
				   "command line string is too long");
	return fake_done();
}

static bool has_other_root(struct fake *f, const char *id)
{
	const char *key;
	json_t *v;
	json_object_foreach(f->config, key, v)
	{
		if (strncmp(key, "drives/", 7) == 0 && strcmp(key + 7, id) != 0 &&
		    json_is_true(json_object_get(v, "is_root_device")))
			return true;
	}
	return false;
}

struct fake_answer fake_put_drive(struct fake *f, const char *id, json_t *o)
{
	const char *path = text(o, "path_on_host");
	bool ro = json_is_true(json_object_get(o, "is_read_only"));
	if (!path && !text(o, "socket"))
		return fake_refuse("Unable to create the virtio block device: Invalid config.");
	if (json_is_true(json_object_get(o, "is_root_device")) && has_other_root(f, id))
		return fake_refuse("A root block device already exists!");
	int r = path ? try_open(path, ro ? O_RDONLY : O_RDWR) : 0;
	if (r < 0)
		return fake_refuse(
		    "Unable to create the virtio block device: Virtio backend "
		    "error: Error manipulating the backing file: %s (os error %d) %s",
		    strerror(-r), -r, path);
	return fake_done();
}

/* With a file it is opened anew, and the guest hears of its size. */
struct fake_answer fake_patch_drive(json_t *drive, json_t *o)
{
	const char *path = text(o, "path_on_host");
	bool ro = json_is_true(json_object_get(drive, "is_read_only"));
	int r = path ? try_open(path, ro ? O_RDONLY : O_RDWR) : 0;
	if (r < 0)
		return fake_refuse("Unable to patch the block device: Virtio backend error: Error "
				   "manipulating the backing file: %s (os error %d) %s Please "
				   "verify the request arguments.",
		    strerror(-r), -r, path);
	if (path)
		(void)json_object_set(drive, "path_on_host", json_object_get(o, "path_on_host"));
	return fake_done();
}

/* The device must exist and be ours or free: TUNSETIFF tells. */
int fake_open_tap(struct fake *f, const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	if (f->script.no_tap)
		return 0;
	if (f->n_taps == sizeof(f->taps) / sizeof(f->taps[0]))
		return -EMFILE;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &req) < 0) {
		int r = -errno;
		(void)close(fd);
		return r;
	}
	f->taps[f->n_taps++] = fd;
	return 0;
}

struct fake_answer fake_put_net(struct fake *f, const char *id, json_t *o)
{
	const char *name = text(o, "host_dev_name");
	(void)id;
	int r = strlen(name) < IFNAMSIZ ? fake_open_tap(f, name) : -EINVAL;
	if (r < 0)
		return fake_refuse("Could not create the network device: Open tap device failed: "
				   "Error while creating ifreq structure: %s (os error %d). "
				   "Invalid TUN/TAP Backend provided by %s.",
		    strerror(-r), -r, name);
	return fake_done();
}

struct fake_answer fake_put_machine(struct fake *f, json_t *o)
{
	json_int_t vcpus = json_integer_value(json_object_get(o, "vcpu_count"));
	(void)f;
	if (vcpus < 1 || vcpus > VCPUS_MAX)
		return fake_refuse("The vCPU number is invalid! The vCPU number can only be 1 or "
				   "an even number when SMT is enabled.");
	if (json_integer_value(json_object_get(o, "mem_size_mib")) < 1)
		return fake_refuse("The memory size (MiB) is invalid.");
	return fake_done();
}

struct fake_answer fake_put_output(struct fake *f, const char *what, json_t *o)
{
	const char *path = what[0] == 'l'   ? text(o, "log_path")
			   : what[0] == 'm' ? text(o, "metrics_path")
					    : text(o, "serial_out_path");
	int *fd = what[0] == 'l' ? &f->log_fd : what[0] == 'm' ? &f->metrics_fd : &f->serial_fd;
	if (what[0] == 'l' && text(o, "level"))
		f->verbose = strchr("IDT", text(o, "level")[0]) != NULL;
	if (!path)
		return fake_done();
	int n = open(path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0644);
	if (n < 0)
		return fake_refuse(
		    "Cannot initialize the %s: %s (os error %d)", what, strerror(errno), errno);
	if (*fd >= 0)
		(void)close(*fd);
	*fd = n;
	return fake_done();
}
