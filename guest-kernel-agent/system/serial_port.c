/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/serial_port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"

#define CLASS "/sys/class/virtio-ports"
#define NAME_MAX_LEN 128

static bool has_name(const char *device, const char *name)
{
	char path[PATH_LEN_MAX];
	CLEAN_BUF struct buf b = BUF_INIT;
	if (path_printf(path, sizeof(path), CLASS "/%s/name", device) < 0 ||
	    fd_read_file(AT_FDCWD, path, NAME_MAX_LEN, &b) < 0)
		return false;
	char *text = buf_cstr(&b);
	if (!text)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return str_eq(text, name);
}

/* The path of its device: 0 or -errno. */
static int find(const char *name, char *dst, size_t cap)
{
	DIR *dir = opendir(CLASS);
	int r = dir ? -ENOENT : -errno;
	for (struct dirent *e; r == -ENOENT && dir && (e = readdir(dir));)
		if (e->d_name[0] != '.' && has_name(e->d_name, name))
			r = path_printf(dst, cap, "/dev/%s", e->d_name);
	if (dir)
		(void)closedir(dir);
	return r;
}

bool serial_port_exists(const char *name)
{
	char path[PATH_LEN_MAX];
	return find(name, path, sizeof(path)) == 0 && path_exists(path);
}

int serial_port_open(const char *name)
{
	char path[PATH_LEN_MAX];
	int r = find(name, path, sizeof(path));
	int fd = r < 0 ? -1 : open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return r < 0 ? r : fd < 0 ? -errno : fd;
}
