# guest-kernel-agent/files: files as a user of the sandbox sees them
libagent_a_SOURCES += \
	guest-kernel-agent/files/as_user.c guest-kernel-agent/files/as_user.h \
	guest-kernel-agent/files/entries_rpc.c \
	guest-kernel-agent/files/entry_proto.c guest-kernel-agent/files/entry_proto.h \
	guest-kernel-agent/files/file_error.c guest-kernel-agent/files/file_error.h \
	guest-kernel-agent/files/file_info.c guest-kernel-agent/files/file_info.h \
	guest-kernel-agent/files/filesystem.c guest-kernel-agent/files/filesystem.h \
	guest-kernel-agent/files/filesystem_private.h \
	guest-kernel-agent/files/tree.c guest-kernel-agent/files/tree.h
