noinst_LIBRARIES += libservice.a
libservice_a_SOURCES = \
	src/service/auth.c src/service/auth.h \
	src/service/control.c src/service/control.h \
	src/service/cors.c src/service/cors.h \
	src/service/create_body.c src/service/create_body.h \
	src/service/cursor.c src/service/cursor.h \
	src/service/detail_cache.c src/service/detail_cache.h \
	src/service/gateway.c src/service/gateway.h \
	src/service/gateway_answer.c src/service/gateway_answer.h \
	src/service/list_query.c src/service/list_query.h \
	src/service/mask_host.c src/service/mask_host.h \
	src/service/metrics.c \
	src/service/params.c src/service/params.h \
	src/service/pb_sandbox.c src/service/pb_sandbox.h \
	src/service/pb_template.c src/service/pb_template.h \
	src/service/peer_limit.c src/service/peer_limit.h \
	src/service/reply.c src/service/reply.h \
	src/service/rest.c src/service/rest.h \
	src/service/rest_create.c \
	src/service/rest_list.c \
	src/service/rest_metrics.c \
	src/service/rest_routes.c \
	src/service/rest_sandbox.c \
	src/service/rest_templates.c \
	src/service/route.c src/service/route.h \
	src/service/sandbox_json.c src/service/sandbox_json.h \
	src/service/sandbox_service.c src/service/sandbox_service.h \
	src/service/sandbox_watch.c \
	src/service/service.c src/service/service.h \
	src/service/status.c src/service/status.h \
	src/service/template_service.c src/service/template_service.h \
	src/service/web.c src/service/web.h
$(libservice_a_OBJECTS): $(PROTO_H)
