# tests/unit
include tests/unit/base/local.mk
include tests/unit/loop/local.mk
include tests/unit/io/local.mk
include tests/unit/wire_rpc/local.mk
include tests/unit/image/local.mk
include tests/unit/store/local.mk
