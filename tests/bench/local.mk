# tests/bench
EXTRA_DIST += \
	tests/bench/clients.py \
	tests/bench/peer/app.py \
	tests/bench/peer/jupyter_config.py \
	tests/bench/run
