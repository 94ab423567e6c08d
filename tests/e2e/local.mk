EXTRA_DIST += \
	tests/e2e/browser/launch.mjs \
	tests/e2e/browser/page.test.mjs \
	tests/e2e/browser/ports.test.mjs \
	tests/e2e/internet.py \
	tests/e2e/js/code_interpreter.test.mjs \
	tests/e2e/js/filesystem.test.mjs \
	tests/e2e/js/commands.test.mjs \
	tests/e2e/js/connect.test.mjs \
	tests/e2e/js/file_transfer.test.mjs \
	tests/e2e/js/grpc.test.mjs \
	tests/e2e/js/helpers.mjs \
	tests/e2e/js/lifecycle.test.mjs \
	tests/e2e/js/ports.test.mjs \
	tests/e2e/js/rpc.mjs \
	tests/e2e/package.json \
	tests/e2e/port_server.py \
	tests/e2e/py/conftest.py \
	tests/e2e/py/grpc_helpers.py \
	tests/e2e/py/host.py \
	tests/e2e/py/test_cli.py \
	tests/e2e/py/test_code_interpreter.py \
	tests/e2e/py/test_commands.py \
	tests/e2e/py/test_escape.py \
	tests/e2e/py/test_file_transfer.py \
	tests/e2e/py/test_filesystem.py \
	tests/e2e/py/test_grpc.py \
	tests/e2e/py/test_hostile.py \
	tests/e2e/py/test_limits.py \
	tests/e2e/py/test_network.py \
	tests/e2e/py/test_ports.py \
	tests/e2e/py/test_recovery.py \
	tests/e2e/requirements.txt \
	tests/e2e/run
check-e2e: all
	$(top_srcdir)/tests/e2e/run --build '$(abs_top_builddir)'
.PHONY: check-e2e
