# The agent without its kernels' side and main(): tests link it with fake contexts.
noinst_LIBRARIES += libagent.a
libagent_a_SOURCES = \
	guest-kernel-agent/code/cell.c guest-kernel-agent/code/cell.h \
	guest-kernel-agent/code/contexts_http.c guest-kernel-agent/code/contexts_http.h \
	guest-kernel-agent/code/contexts_rpc.c guest-kernel-agent/code/contexts_rpc.h \
	guest-kernel-agent/code/event.c guest-kernel-agent/code/event.h \
	guest-kernel-agent/code/event_proto.c guest-kernel-agent/code/event_proto.h \
	guest-kernel-agent/code/execute_http.c guest-kernel-agent/code/execute_http.h \
	guest-kernel-agent/code/execute_rpc.c guest-kernel-agent/code/execute_rpc.h \
	guest-kernel-agent/code/execution.c guest-kernel-agent/code/execution.h \
	guest-kernel-agent/code/interpreter.c guest-kernel-agent/code/interpreter.h \
	guest-kernel-agent/code/json_escape.c guest-kernel-agent/code/json_escape.h \
	guest-kernel-agent/code/ndjson.c guest-kernel-agent/code/ndjson.h \
	guest-kernel-agent/code/outcome.c guest-kernel-agent/code/outcome.h \
	guest-kernel-agent/code/output_rpc.c guest-kernel-agent/code/output_rpc.h \
	guest-kernel-agent/code/viewer.c guest-kernel-agent/code/viewer.h \
	guest-kernel-agent/code/warmup.c guest-kernel-agent/code/warmup.h \
	guest-kernel-agent/envd/envd.c guest-kernel-agent/envd/envd.h \
	guest-kernel-agent/journal/capped.c guest-kernel-agent/journal/capped.h \
	guest-kernel-agent/journal/economy.c guest-kernel-agent/journal/economy.h \
	guest-kernel-agent/journal/follower.c guest-kernel-agent/journal/follower.h \
	guest-kernel-agent/journal/journal.c guest-kernel-agent/journal/journal.h \
	guest-kernel-agent/journal/offsets.c guest-kernel-agent/journal/offsets.h \
	guest-kernel-agent/journal/reading.c guest-kernel-agent/journal/reading.h \
	guest-kernel-agent/journal/spill.c guest-kernel-agent/journal/spill.h \
	guest-kernel-agent/ports/closed_page.c guest-kernel-agent/ports/closed_page.h \
	guest-kernel-agent/ports/gateway.c guest-kernel-agent/ports/gateway.h \
	guest-kernel-agent/ports/ports.c guest-kernel-agent/ports/ports.h \
	guest-kernel-agent/system/control.c guest-kernel-agent/system/control.h \
	guest-kernel-agent/system/disk.c guest-kernel-agent/system/disk.h \
	guest-kernel-agent/system/held.c guest-kernel-agent/system/held.h \
	guest-kernel-agent/system/identity.c guest-kernel-agent/system/identity.h \
	guest-kernel-agent/system/init.c guest-kernel-agent/system/init.h \
	guest-kernel-agent/system/init_net.c guest-kernel-agent/system/init_net.h \
	guest-kernel-agent/system/limits.c guest-kernel-agent/system/limits.h \
	guest-kernel-agent/system/machine.c guest-kernel-agent/system/machine.h \
	guest-kernel-agent/system/marks.c guest-kernel-agent/system/marks.h \
	guest-kernel-agent/system/metrics.c guest-kernel-agent/system/metrics.h \
	guest-kernel-agent/system/notices.c guest-kernel-agent/system/notices.h \
	guest-kernel-agent/system/ready.c guest-kernel-agent/system/ready.h \
	guest-kernel-agent/system/reaper.c guest-kernel-agent/system/reaper.h \
	guest-kernel-agent/system/reply.c guest-kernel-agent/system/reply.h \
	guest-kernel-agent/system/request.c guest-kernel-agent/system/request.h \
	guest-kernel-agent/system/serial_port.c guest-kernel-agent/system/serial_port.h \
	guest-kernel-agent/system/user_select.c guest-kernel-agent/system/user_select.h \
	guest-kernel-agent/system/vm_channels.c guest-kernel-agent/system/vm_channels.h \
	guest-kernel-agent/system/vm_conf.c guest-kernel-agent/system/vm_conf.h

AGENT_LIBS = librpc.a libwire.a libio.a libloop.a libbase.a libproto.a $(EVENT_LIBS) \
	$(NGHTTP2_LIBS) $(PROTOBUF_C_LIBS) $(JANSSON_LIBS) $(HTTP_PARSER_LIBS) $(CRYPTO_LIBS) \
	$(ZLIB_LIBS)
$(libagent_a_OBJECTS): $(PROTO_H) proto/descriptors.h

libexec_PROGRAMS += sandglass-agent
sandglass_agent_SOURCES = guest-kernel-agent/main.c guest-kernel-agent/system/no_tls.c
sandglass_agent_LDADD = libagent.a libjupyter.a $(AGENT_LIBS)
sandglass_agent_LDFLAGS = $(AM_LDFLAGS)
if AGENT_STATIC
sandglass_agent_LDFLAGS += -static
endif

include guest-kernel-agent/files/local.mk
include guest-kernel-agent/jupyter/local.mk
include guest-kernel-agent/process/local.mk
include guest-kernel-agent/python/local.mk
