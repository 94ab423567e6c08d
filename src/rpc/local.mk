noinst_LIBRARIES += librpc.a
librpc_a_SOURCES =
librpc_a_SOURCES += src/rpc/call.c
librpc_a_SOURCES += src/rpc/call.h
librpc_a_SOURCES += src/rpc/call_internal.h
librpc_a_SOURCES += src/rpc/call_reply.c
librpc_a_SOURCES += src/rpc/client_call.c
librpc_a_SOURCES += src/rpc/client_call.h
librpc_a_SOURCES += src/rpc/descriptors.c
librpc_a_SOURCES += src/rpc/descriptors.h
librpc_a_SOURCES += src/rpc/health.c
librpc_a_SOURCES += src/rpc/reflection.c
librpc_a_SOURCES += src/rpc/router.c
librpc_a_SOURCES += src/rpc/router.h
$(librpc_a_OBJECTS): $(PROTO_H)
