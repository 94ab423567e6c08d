# guest-kernel-agent/files: files as a user of the sandbox sees them
libagent_a_SOURCES += \
	guest-kernel-agent/files/as_user.c guest-kernel-agent/files/as_user.h \
	guest-kernel-agent/files/file_error.c guest-kernel-agent/files/file_error.h \
	guest-kernel-agent/files/file_info.c guest-kernel-agent/files/file_info.h
