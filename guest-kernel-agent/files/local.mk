# guest-kernel-agent/files: files as a user of the sandbox sees them
libagent_a_SOURCES += \
	guest-kernel-agent/files/as_user.c guest-kernel-agent/files/as_user.h \
	guest-kernel-agent/files/describe.c guest-kernel-agent/files/describe.h \
	guest-kernel-agent/files/entries_rpc.c \
	guest-kernel-agent/files/entry_proto.c guest-kernel-agent/files/entry_proto.h \
	guest-kernel-agent/files/file_error.c guest-kernel-agent/files/file_error.h \
	guest-kernel-agent/files/file_info.c guest-kernel-agent/files/file_info.h \
	guest-kernel-agent/files/filesystem.c guest-kernel-agent/files/filesystem.h \
	guest-kernel-agent/files/filesystem_private.h \
	guest-kernel-agent/files/notifier.c guest-kernel-agent/files/notifier.h \
	guest-kernel-agent/files/scan.c guest-kernel-agent/files/scan.h \
	guest-kernel-agent/files/tree.c guest-kernel-agent/files/tree.h \
	guest-kernel-agent/files/watch.c guest-kernel-agent/files/watch.h \
	guest-kernel-agent/files/watch_job.c guest-kernel-agent/files/watch_private.h \
	guest-kernel-agent/files/watch_rpc.c \
	guest-kernel-agent/files/watch_tree.c \
	guest-kernel-agent/files/watchers_rpc.c

# plain HTTP
libagent_a_SOURCES += \
	guest-kernel-agent/files/compose_http.c guest-kernel-agent/files/download_http.c \
	guest-kernel-agent/files/content_type.c guest-kernel-agent/files/content_type.h \
	guest-kernel-agent/files/gzip.c guest-kernel-agent/files/gzip.h \
	guest-kernel-agent/files/metadata_headers.c guest-kernel-agent/files/metadata_headers.h \
	guest-kernel-agent/files/signature.c guest-kernel-agent/files/signature.h \
	guest-kernel-agent/files/staged_file.c guest-kernel-agent/files/staged_file.h \
	guest-kernel-agent/files/upload.c guest-kernel-agent/files/upload.h \
	guest-kernel-agent/files/files_http.c guest-kernel-agent/files/files_http.h \
	guest-kernel-agent/files/upload_http.c
