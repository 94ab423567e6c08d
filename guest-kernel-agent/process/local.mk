# guest-kernel-agent/process: processes and terminals
libagent_a_SOURCES += \
	guest-kernel-agent/process/control_rpc.c guest-kernel-agent/process/control_rpc.h \
	guest-kernel-agent/process/endpoints.c guest-kernel-agent/process/endpoints.h \
	guest-kernel-agent/process/event.c guest-kernel-agent/process/event.h \
	guest-kernel-agent/process/input.c guest-kernel-agent/process/input.h \
	guest-kernel-agent/process/input_rpc.c guest-kernel-agent/process/input_rpc.h \
	guest-kernel-agent/process/native_event.c guest-kernel-agent/process/native_event.h \
	guest-kernel-agent/process/native_rpc.c guest-kernel-agent/process/native_rpc.h \
	guest-kernel-agent/process/outcome_rpc.c guest-kernel-agent/process/outcome_rpc.h \
	guest-kernel-agent/process/output.c \
	guest-kernel-agent/process/process.c guest-kernel-agent/process/process.h \
	guest-kernel-agent/process/process_private.h \
	guest-kernel-agent/process/request.c guest-kernel-agent/process/request.h \
	guest-kernel-agent/process/service.c guest-kernel-agent/process/service.h \
	guest-kernel-agent/process/stream_rpc.c guest-kernel-agent/process/stream_rpc.h \
	guest-kernel-agent/process/table.c
