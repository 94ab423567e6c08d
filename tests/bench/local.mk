# tests/bench
EXTRA_DIST += \
	tests/bench/clients.py \
	tests/bench/files.py \
	tests/bench/idle.py \
	tests/bench/microvm.py \
	tests/bench/peer/app.py \
	tests/bench/peer/files.go tests/bench/peer/files.py \
	tests/bench/peer/jupyter_config.py \
	tests/bench/processes.py \
	tests/bench/run

noinst_PROGRAMS += tests/bench/http_echo_server
tests_bench_http_echo_server_SOURCES = tests/bench/http_echo_server.c
tests_bench_http_echo_server_LDADD = librpc.a libio.a libwire.a libloop.a libbase.a \
	$(EVENT_LIBS) $(OPENSSL_LIBS) $(NGHTTP2_LIBS) $(HTTP_PARSER_LIBS) $(JANSSON_LIBS)
